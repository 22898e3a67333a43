#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "config/types.h"

// The head of an HTTP request, read strictly.
//
// Intuition: this API answers short questions that have no body. So whatever a client can send fits into a few rules,
// and everything else is refused by its number before anybody looks at it: what is not read cannot be confused, and
// cannot be held open either.
//
// Rules: a request line "METHOD /target HTTP/1.0|1.1" of at most kTargetBytesMax for the target, then header lines, each
// ended by CRLF; all of it at most kHeadBytesMax. No folded lines, no control characters, one Host in HTTP/1.1, no body.
// Only the query is percent-decoded: no path of ours needs it.
namespace ringagent {

inline constexpr std::size_t kHeadBytesMax = 16 * 1024;
inline constexpr std::size_t kTargetBytesMax = 1024;
inline constexpr std::size_t kParametersMax = 8;

struct HttpRequest {
  std::string method;
  std::string path;  // as sent
  std::string host;  // what the Host header says; "" where there is none
  std::multimap<std::string, std::string> parameters;
};

// What is wrong with a request, as a status and one line.
struct HttpFault {
  int status = 400;
  std::string text;
};

// Bytes of the head at the start of `bytes`, with the empty line that ends it; npos while it is not there.
std::size_t head_size(std::string_view bytes);

// `head`: what `head_size` found.
tl::expected<HttpRequest, HttpFault> parse_head(std::string_view head);

}  // namespace ringagent
