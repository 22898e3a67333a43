#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"

// ringagent.toml as sections, keys and values, and how a single value is read. Private to config/settings.
//
// Intuition: settings.cpp knows the TOML library and turns the file into a Sheet; settings_rules.cpp knows what the
// keys mean; this file is what lies between. A reader takes the value if it is right and leaves the default and a
// complaint if it is not, so that one run finds everything. A rule about two keys is judged only if both are sound:
// nobody wants to read what follows from a mistake.
namespace ringagent {

struct SheetValue {
  enum class Kind : std::uint8_t { text, integer, flag, list, other };
  Kind kind = Kind::other;
  std::string kind_text;  // "an integer"
  std::size_t line = 0;
  std::string text;
  std::int64_t integer = 0;
  bool flag = false;
  std::vector<SheetValue> list;
};

// Only names that are known (settings_names.h) get in; the top of the file is the section "".
struct Sheet {
  struct Section {
    std::size_t line = 0;
    std::map<std::string, SheetValue> values;
  };
  std::map<std::string, Section> sections;
};

struct Findings {
  std::vector<SettingsFault> faults;
  std::set<std::string> unsound;  // labels of the keys that were complained about
};

// One key: where it stands and what it says. All complaints about it begin with its name.
class SettingKey {
 public:
  SettingKey(const Sheet& sheet, const char* section, const char* name, Findings& findings);

  bool given() const { return value_ != nullptr; }
  bool sound() const { return !findings_->unsound.contains(label_); }
  std::string example() const;  // name = value

  void wrong(const std::string& text) const { wrong_at(line_, text); }
  void wrong_at(std::size_t line, const std::string& text) const;
  void missing(const std::string& why) const;

  // The value, if there is one and it is of this kind; a complaint if it is of another. `wanted`: "a string".
  const SheetValue* as(SheetValue::Kind kind, const char* wanted) const;

 private:
  std::string section_;
  std::string name_;
  std::string label_;
  Findings* findings_;
  const SheetValue* value_ = nullptr;
  std::size_t line_ = 0;  // of the key, else of its section
};

enum class Empty : bool { refused, allowed };

void read_text(const SettingKey& key, std::string& out, Empty empty = Empty::refused);
void read_flag(const SettingKey& key, bool& out);
void read_port(const SettingKey& key, std::uint16_t& out);
void read_socket_path(const SettingKey& key, std::string& out);
void read_name(const SettingKey& key, std::string& out);
void read_address(const SettingKey& key, Address& out, Empty empty = Empty::refused);  // "" gives an empty one

// Strings, none of them twice; each with its line.
std::vector<std::pair<std::string, std::size_t>> read_list(const SettingKey& key);

// From `least` to `most` in whole `step`s (the unit in which servers and messages count); `zero` turns something off
// and is allowed below `least`. `why`: why these limits.
struct Limits {
  Duration least;
  Duration most;
  const char* why;
  bool zero = false;
  Duration step = 1ms;
};
void read_duration(const SettingKey& key, Duration& out, const Limits& limits);

// A name of a cluster or node: it stands in commands, file names, labels of metrics and the environment of hooks.
std::optional<std::string> wrong_name(const std::string& name);

// Every address of a host: one can listen there, but nobody can connect to it.
bool any(const Address& address);

// In quotes, fit for one line of a terminal.
std::string quoted(std::string_view text);

template <class T>
using Choices = std::vector<std::pair<std::string_view, T>>;

template <class T>
void read_choice(const SettingKey& key, T& out, const Choices<T>& choices) {
  const auto* value = key.as(SheetValue::Kind::text, "a string");
  if (value == nullptr) return;
  std::string words;
  for (const auto& [word, meaning] : choices) {
    if (value->text == word) {
      out = meaning;
      return;
    }
    words += (words.empty() ? "" : ", ") + quoted(word);
  }
  key.wrong(quoted(value->text) + " is not known; it is one of " + words);
}

}  // namespace ringagent
