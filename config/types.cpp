#include "config/types.h"

#include <algorithm>
#include <charconv>

namespace ringagent {
namespace {

constexpr std::size_t kDashAfter[] = {4, 6, 8, 10};

bool dash_before(std::size_t byte) {
  for (const std::size_t at : kDashAfter) {
    if (byte == at) return true;
  }
  return false;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::size_t kHostBytesMax = 255;

// Host names, IPv4 and IPv6 literals with or without a zone.
bool stands_in_host(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_' || c == ':' || c == '%';
}

}  // namespace

std::string Uuid::str() const {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (dash_before(i)) out.push_back('-');
    out.push_back("0123456789abcdef"[bytes[i] >> 4]);
    out.push_back("0123456789abcdef"[bytes[i] & 15]);
  }
  return out;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  const auto bad = [&] {
    return fail("\"" + std::string(text) + "\" is no UUID; one looks like 123e4567-e89b-12d3-a456-426614174000");
  };
  Uuid out;
  std::size_t at = 0;
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    if (dash_before(i) && (at >= text.size() || text[at++] != '-')) return bad();
    if (at + 2 > text.size()) return bad();
    const int high = hex_value(text[at]);
    const int low = hex_value(text[at + 1]);
    if (high < 0 || low < 0) return bad();
    out.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    at += 2;
  }
  if (at != text.size()) return bad();
  return out;
}

std::string Address::str() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> Address::parse(std::string_view text) {
  const auto bad = [&](const char* what) {
    return fail("\"" + std::string(text) + "\" " + what +
                "; an address looks like db1:3306, 10.0.0.1:3306 or [::1]:3306");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) return bad("has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (!host.empty() && host.front() == '[') {
    if (host.back() != ']') return bad("has an opening bracket without a closing one");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("has several colons: an IPv6 address stands in brackets");
  }
  if (host.empty()) return bad("has no host");
  if (host.size() > kHostBytesMax) return bad("has a host of more than 255 bytes");
  if (!std::all_of(host.begin(), host.end(), stands_in_host)) return bad("has a host with a strange character");
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || port == 0 || port > 65535)
    return bad("has no port between 1 and 65535");
  return Address{std::string(host), static_cast<std::uint16_t>(port)};
}

}  // namespace ringagent
