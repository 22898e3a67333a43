#include <doctest/doctest.h>

#include <string>

#include "config/types.h"

using namespace ringagent;

TEST_CASE("types: a UUID is written and read in one form") {
  const std::string text = "00112233-4455-6677-8899-aabbccddeeff";
  const auto uuid = Uuid::parse(text);
  REQUIRE(uuid);
  for (std::size_t i = 0; i < 16; ++i) CHECK(uuid->bytes[i] == 0x11 * i);
  CHECK(uuid->str() == text);
  CHECK(*Uuid::parse("00112233-4455-6677-8899-AABBCCDDEEFF") == *uuid);
  CHECK(Uuid{}.str() == "00000000-0000-0000-0000-000000000000");
  CHECK(Uuid{}.nil());
  CHECK_FALSE(uuid->nil());
}

TEST_CASE("types: what is no UUID is refused, wherever it is wrong") {
  const std::string good = "00112233-4455-6677-8899-aabbccddeeff";
  for (std::size_t at = 0; at < good.size(); ++at) {
    CHECK_FALSE(Uuid::parse(good.substr(0, at)));
    for (const char wrong : {'g', ' ', '\0', good[at] == '-' ? '0' : '-'}) {
      std::string text = good;
      text[at] = wrong;
      CHECK_FALSE(Uuid::parse(text));
    }
  }
  CHECK_FALSE(Uuid::parse(good + "0"));
  CHECK_FALSE(Uuid::parse("{" + good + "}"));
  CHECK_FALSE(Uuid::parse("00112233445566778899aabbccddeeff"));
  CHECK(Uuid::parse("x").error().text == "\"x\" is no UUID; one looks like 123e4567-e89b-12d3-a456-426614174000");
}

TEST_CASE("types: an address is a host and a port") {
  CHECK(*Address::parse("db1:3306") == Address{"db1", 3306});
  CHECK(*Address::parse("10.0.0.1:1") == Address{"10.0.0.1", 1});
  CHECK(*Address::parse("db-1.example_x.org:65535") == Address{"db-1.example_x.org", 65535});
  CHECK(*Address::parse("[::1]:7946") == Address{"::1", 7946});
  CHECK(*Address::parse("[fe80::1%eth0]:7946") == Address{"fe80::1%eth0", 7946});
  CHECK(Address{}.empty());
  for (const char* text : {"db1:3306", "10.0.0.1:1", "[::1]:7946"}) CHECK(Address::parse(text)->str() == text);
}

TEST_CASE("types: what is no address is refused with one that is") {
  const auto refused = [](const std::string& text, const std::string& why) {
    const auto address = Address::parse(text);
    REQUIRE_MESSAGE(!address, text);
    CHECK_MESSAGE(address.error().text.find(why) != std::string::npos, address.error().text);
    CHECK(address.error().text.find("db1:3306") != std::string::npos);
  };
  for (const char* text : {"", "db1", "db1:", "[::1]"}) refused(text, "");
  for (const char* text : {"db1:0", "db1:65536", "db1:-1", "db1:+1", "db1:1x", "db1: 1", "db1:99999999999999999999"})
    refused(text, "has no port between 1 and 65535");
  for (const char* text : {":3306", "[]:3306"}) refused(text, "has no host");
  for (const char* text : {"[::1:3306", "[:3306"}) refused(text, "opening bracket");
  for (const char* text : {"::1:3306", "a:b:3306", "http://db1:3306"}) refused(text, "several colons");
  for (const char* text : {"db 1:3306", " db1:3306", "db1\n:3306", "d'b:3306", "]:3306", "a/b:3306", "*:3306"})
    refused(text, "strange character");
  CHECK(Address::parse(std::string(255, 'a') + ":1"));
  refused(std::string(256, 'a') + ":1", "more than 255 bytes");
}
