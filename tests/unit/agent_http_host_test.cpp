#include <doctest/doctest.h>

#include "agent/http_host.h"

using namespace ringagent;

TEST_CASE("http host: addresses and the names of this machine are answered") {
  const std::vector<std::string> names = {"db1", "db1.example.org", ""};
  for (const char* host :
       {"10.0.0.1", "10.0.0.1:7947", "127.0.0.1:1", "[::1]:7947", "[fe80::1]", "[::ffff:10.0.0.1]:80", "localhost",
        "LOCALHOST:7947", "db1", "DB1:7947", "db1.", "db1.example.org:7947", "db1.Example.org.", "ringagent", ""})
    CHECK_MESSAGE(host_accepted(host, names), std::string(host));
}

TEST_CASE("http host: a name that others can have made up is not") {
  const std::vector<std::string> names = {"db1", ""};
  for (const char* host : {"evil.example",
                           "evil.example:7947",
                           "db1.evil.example",
                           "localhost.evil.example",
                           "127.0.0.1.evil.example",
                           "10.0.0",
                           "10.0.0.1.2",
                           "10.0.0.256",
                           "10.0..1",
                           "1.2.3.4x",
                           "[evil.example]",
                           "[::1",
                           "::1",
                           "[]",
                           "localhost:80:80",
                           "localhost:x",
                           "db12",
                           "db",
                           ".",
                           ":7947",
                           "127.0.0.1@evil.example",
                           "127.0.0.1 "})
    CHECK_FALSE_MESSAGE(host_accepted(host, names), std::string(host));
}
