#include "config/settings_values.h"

#include <algorithm>

#include "config/duration.h"
#include "config/settings_names.h"

namespace ringagent {
namespace {

using Kind = SheetValue::Kind;

// The longest path that fits into a sockaddr_un, which ends with a zero.
constexpr std::size_t kSocketPathBytesMax = 107;

}  // namespace

SettingKey::SettingKey(const Sheet& sheet, const char* section, const char* name, Findings& findings)
    : section_(section), name_(name), label_(key_label(section, name)), findings_(&findings) {
  const auto in = sheet.sections.find(section_);
  if (in == sheet.sections.end()) return;
  line_ = in->second.line;
  const auto found = in->second.values.find(name_);
  if (found == in->second.values.end()) return;
  value_ = &found->second;
  line_ = value_->line;
}

std::string SettingKey::example() const {
  return name_ + " = " + settings_key(section_, name_)->value;
}

void SettingKey::wrong_at(std::size_t line, const std::string& text) const {
  // A value may be quoted in it: no value makes two lines of a fault, or talks to a terminal.
  findings_->faults.push_back({line, label_ + ": " + shown(text)});
  findings_->unsound.insert(label_);
}

void SettingKey::missing(const std::string& why) const {
  wrong("missing; " + why + ", as in " + example());
}

const SheetValue* SettingKey::as(Kind kind, const char* wanted) const {
  if (value_ == nullptr || value_->kind == kind) return value_;
  wrong("is " + value_->kind_text + "; it must be " + wanted + ", as in " + example());
  return nullptr;
}

void read_text(const SettingKey& key, std::string& out, Empty empty) {
  const auto* value = key.as(Kind::text, "a string");
  if (value == nullptr) return;
  if (value->text.empty() && empty == Empty::refused)
    return key.wrong("is empty; write " + key.example() + " or leave the key out");
  if (value->text.find_first_of(std::string_view("\0\n\r", 3)) != std::string::npos)
    return key.wrong("holds a zero byte or a line break");
  out = value->text;
}

void read_flag(const SettingKey& key, bool& out) {
  if (const auto* value = key.as(Kind::flag, "true or false")) out = value->flag;
}

void read_port(const SettingKey& key, std::uint16_t& out) {
  const auto* value = key.as(Kind::integer, "an integer");
  if (value == nullptr) return;
  if (value->integer < 1 || value->integer > 65535)
    return key.wrong(std::to_string(value->integer) + " is no port; it is 1 to 65535");
  out = static_cast<std::uint16_t>(value->integer);
}

void read_socket_path(const SettingKey& key, std::string& out) {
  read_text(key, out);
  if (out.size() <= kSocketPathBytesMax) return;
  key.wrong("has " + std::to_string(out.size()) + " bytes; the path of a unix socket has at most " +
            std::to_string(kSocketPathBytesMax));
}

void read_name(const SettingKey& key, std::string& out) {
  read_text(key, out);
  if (!key.given() || !key.sound()) return;
  if (const auto fault = wrong_name(out)) key.wrong(*fault);
}

void read_address(const SettingKey& key, Address& out, Empty empty) {
  const auto* value = key.as(Kind::text, "a string");
  if (value == nullptr) return;
  if (value->text.empty() && empty == Empty::allowed) {
    out = Address{};
    return;
  }
  const auto address = Address::parse(value->text);
  if (!address) return key.wrong(address.error().text);
  out = *address;
}

std::vector<std::pair<std::string, std::size_t>> read_list(const SettingKey& key) {
  std::vector<std::pair<std::string, std::size_t>> out;
  const auto* value = key.as(Kind::list, "a list of strings");
  if (value == nullptr) return out;
  std::set<std::string> seen;
  for (const auto& element : value->list) {
    if (element.kind != Kind::text) {
      key.wrong_at(element.line,
                   "holds " + element.kind_text + "; it must be a list of strings, as in " + key.example());
    } else if (!seen.insert(element.text).second) {
      key.wrong_at(element.line, "names " + quoted(element.text) + " twice");
    } else {
      out.emplace_back(element.text, element.line);
    }
  }
  return out;
}

void read_duration(const SettingKey& key, Duration& out, const Limits& limits) {
  const auto* value = key.as(Kind::text, "a string with a unit");
  if (value == nullptr) return;
  const auto span = parse_duration(value->text);
  if (!span) return key.wrong(span.error().text);
  const bool fits = (limits.zero && *span == 0us) || (*span >= limits.least && *span <= limits.most);
  if (!fits) {
    return key.wrong(quoted(value->text) + " is out of range; it is " + (limits.zero ? "0s or " : "") +
                     duration_text(limits.least) + " to " + duration_text(limits.most) + ": " + limits.why);
  }
  if (*span % limits.step != 0us)
    return key.wrong(quoted(value->text) + " must be a multiple of " + duration_text(limits.step));
  out = *span;
}

std::optional<std::string> wrong_name(const std::string& name) {
  if (name.empty()) return "is empty";
  if (name.size() > kNameBytesMax) return "is longer than " + std::to_string(kNameBytesMax) + " bytes";
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  if (!std::all_of(name.begin(), name.end(), fits))
    return quoted(name) + " must consist of letters, digits, \"-\", \"_\" and \".\"";
  if (name.front() == '-' || name.front() == '.') return quoted(name) + " must begin with a letter, a digit or \"_\"";
  return std::nullopt;
}

bool any(const Address& address) {
  return address.host == "0.0.0.0" || address.host == "::" || address.host == "*";
}

std::string quoted(std::string_view text) {
  return "\"" + shown(text) + "\"";
}

}  // namespace ringagent
