#include <doctest/doctest.h>

#include <random>

#include "agent/http_request.h"

using namespace ringagent;

namespace {

int status_of(const std::string& head) {
  const auto request = parse_head(head);
  return request ? 200 : request.error().status;
}

}  // namespace

TEST_CASE("http request: what load balancers, browsers and Prometheus send") {
  const auto request = parse_head(
      "GET /readable?max_lag=2s&x=%41+b HTTP/1.1\r\nHost: db1:7947\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n");
  REQUIRE(request);
  CHECK(request->method == "GET");
  CHECK(request->path == "/readable");
  CHECK(request->parameters == std::multimap<std::string, std::string>{{"max_lag", "2s"}, {"x", "A b"}});
  CHECK(status_of("OPTIONS / HTTP/1.0\r\n\r\n") == 200);
  CHECK(status_of("GET / HTTP/1.1\r\nhost: x\r\nContent-Length: 0\r\n\r\n") == 200);
  CHECK(parse_head("POST /command HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")->method == "POST");
}

TEST_CASE("http request: the head ends where the empty line is") {
  CHECK(head_size("GET / HTTP/1.0\r\n") == std::string::npos);
  CHECK(head_size("GET / HTTP/1.0\n\n") == std::string::npos);
  CHECK(head_size("GET / HTTP/1.0\r\n\r\nmore") == 18);
}

TEST_CASE("http request: everything else is refused by its number") {
  const std::string ok = " HTTP/1.1\r\nHost: x\r\n\r\n";
  for (const char* line : {"", "GET", "get /", "GET  /", "GET x", "GET http://x/", "GET /a b", "GET /%zz?a=%zz",
                           "GET /?a=%4", "GET /#x", "G\x01T /", "AVERYLONGMETHODNAME /"}) {
    CHECK_MESSAGE(status_of(line + ok) >= 400, std::string(line));
  }
  CHECK(status_of("GET /" + std::string(kTargetBytesMax, 'a') + ok) == 414);
  CHECK(status_of("GET /?a&b&c&d&e&f&g&h" + ok) == 200);
  CHECK(status_of("GET /?a&b&c&d&e&f&g&h&i" + ok) == 400);
  CHECK(status_of("GET / HTTP/2.0\r\n\r\n") == 505);
  CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\n folded\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\nno colon\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\nname : x\r\n\r\n") == 400);
  CHECK(status_of(std::string("GET / HTTP/1.0\r\na: b\0c\r\n\r\n", 26)) == 400);
  CHECK(status_of("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 413);
  CHECK(status_of("GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\n") == 413);
  CHECK(status_of("GET / HTTP/1.0\r\na: " + std::string(kHeadBytesMax, 'x') + "\r\n\r\n") == 431);
}

TEST_CASE("http request: whatever bytes come, it says yes or a number") {
  std::mt19937 dice(1);
  const std::string good = "GET /readable?max_lag=2s&n=%41 HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string head = good;
    for (std::uint32_t i = dice() % 4; i > 0; --i) head[dice() % head.size()] = static_cast<char>(dice());
    if (round % 3 == 0) head.resize(dice() % head.size());
    const int status = status_of(head);
    accepted += status == 200;
    CHECK((status == 200 || (status >= 400 && status < 506)));
  }
  CHECK(accepted > 1000);
  CHECK(accepted < 19'000);
}
