#include "agent/http_request.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace ringagent {
namespace {

constexpr std::string_view kEnd = "\r\n";

tl::unexpected<HttpFault> refused(int status, std::string text) {
  return tl::unexpected(HttpFault{status, std::move(text)});
}

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

char lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

// A character of a header's name (RFC 9110, token).
bool is_token(char c) {
  const bool letter = lower(c) >= 'a' && lower(c) <= 'z';
  return letter || (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The text before `mark`, which is taken off `rest` with it; all of it where there is no mark.
std::string_view next(std::string_view& rest, std::string_view mark) {
  const std::size_t at = rest.find(mark);
  const std::string_view out = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + mark.size());
  return out;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    unsigned value = 0;
    const char* begin = text.data() + i + 1;
    if (text.size() - i < 3) return std::nullopt;
    if (const auto [end, error] = std::from_chars(begin, begin + 2, value, 16);
        error != std::errc() || end != begin + 2) {
      return std::nullopt;
    }
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

std::optional<HttpFault> read_query(std::string_view query, HttpRequest& request) {
  while (!query.empty()) {
    std::string_view value = next(query, "&");
    const auto name = decoded(next(value, "="));
    const auto text = decoded(value);
    if (!name || !text) return HttpFault{400, "a % in the query is not followed by two hexadecimal digits"};
    if (request.parameters.size() == kParametersMax) return HttpFault{400, "too many parameters"};
    request.parameters.emplace(*name, *text);
  }
  return std::nullopt;
}

std::optional<HttpFault> read_target(std::string_view target, HttpRequest& request) {
  if (target.size() > kTargetBytesMax) return HttpFault{414, "the address is too long"};
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };
  if (!target.starts_with('/') || !std::all_of(target.begin(), target.end(), visible)) {
    return HttpFault{400, "the address is not a path of visible ASCII characters"};
  }
  request.path = next(target, "?");
  return read_query(target, request);
}

// Of the headers only those matter that would make the request another one than it seems.
std::optional<HttpFault> read_header(std::string_view line, std::size_t& hosts, HttpRequest& request) {
  std::string_view value = line;
  const std::string_view name = next(value, ":");
  const bool named = !name.empty() && name.size() < line.size() && std::all_of(name.begin(), name.end(), is_token);
  const bool clean = std::none_of(value.begin(), value.end(), [](char c) { return is_control(c) && c != '\t'; });
  if (!named || !clean) return HttpFault{400, "a header line is malformed"};
  const auto is = [&](std::string_view what) {
    return std::equal(name.begin(), name.end(), what.begin(), what.end(), [](char a, char b) { return lower(a) == b; });
  };
  if (is("host")) {
    ++hosts;
    request.host = trimmed(value);
  }
  if (is("transfer-encoding") || (is("content-length") && trimmed(value) != "0")) {
    return HttpFault{413, "no question here has a body"};
  }
  return std::nullopt;
}

}  // namespace

std::size_t head_size(std::string_view bytes) {
  const std::size_t at = bytes.find("\r\n\r\n");
  return at == std::string_view::npos ? at : at + 4;
}

tl::expected<HttpRequest, HttpFault> parse_head(std::string_view head) {
  if (head.size() > kHeadBytesMax) return refused(431, "the request's head is too large");
  HttpRequest request;
  std::string_view line = next(head, kEnd);
  request.method = next(line, " ");
  const std::string_view target = next(line, " ");
  if (request.method.empty() || request.method.size() > 16 ||
      !std::all_of(request.method.begin(), request.method.end(), is_upper)) {
    return refused(400, "this is not HTTP");
  }
  const bool later = line == "HTTP/1.1";
  if (!later && line != "HTTP/1.0") return refused(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  if (auto fault = read_target(target, request)) return tl::unexpected(*fault);
  std::size_t hosts = 0;
  std::optional<HttpFault> body;
  while (!head.empty()) {
    line = next(head, kEnd);
    if (line.empty()) break;
    auto fault = read_header(line, hosts, request);
    if (fault && fault->status == 400) return tl::unexpected(*fault);
    if (fault) body = fault;
  }
  if (hosts > 1 || (later && hosts == 0)) return refused(400, "HTTP/1.1 wants one Host header");
  // What has a body wants to change something: that it cannot is the better answer.
  const bool reads = request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
  if (body && reads) return tl::unexpected(*body);
  return request;
}

}  // namespace ringagent
