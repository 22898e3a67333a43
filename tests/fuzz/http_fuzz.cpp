#include <algorithm>
#include <string>

#include "agent/http_host.h"
#include "agent/http_request.h"
#include "fuzz.h"

// What a client of the HTTP door sends. 0: bytes as they come, 1: a good request, altered, 2: a Host header.
using namespace ringagent;
using fuzz::demand;

namespace {

bool visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

void request(std::string_view bytes) {
  const std::size_t size = head_size(bytes);
  if (size == std::string_view::npos) return;
  demand(size >= 4 && size <= bytes.size() && bytes.substr(0, size).ends_with("\r\n\r\n"), "a head ends where it says");
  demand(head_size(bytes.substr(0, size - 1)) == std::string_view::npos, "and not before");
  const std::string_view head = bytes.substr(0, size);
  const auto read = parse_head(head);
  if (!read) {
    demand(read.error().status >= 400 && read.error().status < 600, "what is refused has a number");
    return demand(!read.error().text.empty() && read.error().text.find('\n') == std::string::npos, "and one line");
  }
  demand(head.starts_with(read->method + " " + read->path), "method and path are what was sent");
  demand(!read->method.empty() && read->method.size() <= 16 && read->path.starts_with('/'), "and have their form");
  demand(read->path.size() <= kTargetBytesMax && visible(read->path), "a path is short and visible");
  demand(read->parameters.size() <= kParametersMax, "parameters are few");
  host_accepted(read->host, {"db1"});
}

void host(std::string_view text) {
  if (!host_accepted(text, {"db1"})) return;
  const bool name = std::any_of(text.begin(), text.end(), [](char c) { return c > 'f' && c != 'l' && c != 'o'; });
  const std::size_t dots = static_cast<std::size_t>(std::count(text.begin(), text.end(), '.'));
  demand(!name || dots <= 1, "a name of several parts is none of ours");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  switch (input.byte() % 4) {
    case 1:
      request(
          fuzz::damaged("GET /readable?max_lag=2s&n=%41+b HTTP/1.1\r\nHost: db1:7947\r\nAccept: */*\r\n\r\n", input));
      break;
    case 2:
      host(input.rest());
      break;
    default:
      request(input.rest());
  }
  return 0;
}
