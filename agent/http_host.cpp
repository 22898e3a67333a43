#include "agent/http_host.h"

#include <algorithm>

namespace ringagent {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

// Four numbers; a browser writes every other form of an IPv4 address as this one.
bool is_ipv4(std::string_view text) {
  int numbers = 0;
  while (!text.empty()) {
    const std::string_view number = text.substr(0, text.find('.'));
    if (number.empty() || number.size() > 3 || !std::all_of(number.begin(), number.end(), is_digit)) return false;
    if (number.size() == 3 && number > "255") return false;
    ++numbers;
    if (number.size() == text.size()) return numbers == 4;
    text.remove_prefix(number.size() + 1);
  }
  return false;
}

// In brackets stands nothing but an IPv6 address.
bool is_ipv6(std::string_view text) {
  if (text.size() < 4 || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  const auto fits = [](char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f') || c == ':' || c == '.'; };
  return text.find(':') != std::string_view::npos && std::all_of(text.begin(), text.end(), fits);
}

std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) return host;
  const std::string_view port = host.substr(colon + 1);
  return std::all_of(port.begin(), port.end(), is_digit) ? host.substr(0, colon) : host;
}

}  // namespace

bool host_accepted(std::string_view host, const std::vector<std::string>& names) {
  if (host.empty()) return true;
  host = without_port(host);
  if (is_ipv4(host) || is_ipv6(host)) return true;
  if (host.ends_with('.')) host.remove_suffix(1);
  return same(host, "localhost") || same(host, "ringagent") ||
         std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return !name.empty() && same(host, name); });
}

}  // namespace ringagent
