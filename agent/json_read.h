#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/text.h"

// Reading a JSON document that somebody else wrote: what is absent or of another type reads as empty, so an
// agent of another version can make a table poorer but never break it. Texts come out printable.
namespace ringagent::json_read {

using Json = nlohmann::ordered_json;

inline std::string str(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? printable(it->get<std::string>()) : std::string();
}

inline bool flag(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

inline std::optional<std::int64_t> number(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number()) return std::nullopt;
  return it->get<std::int64_t>();
}

inline const Json& list(const Json& object, const char* key) {
  static const Json empty = Json::array();
  const auto it = object.find(key);
  return it != object.end() && it->is_array() ? *it : empty;
}

inline std::vector<std::string> names(const Json& object, const char* key) {
  std::vector<std::string> out;
  for (const auto& name : list(object, key)) {
    if (name.is_string()) out.push_back(printable(name.get<std::string>()));
  }
  return out;
}

}  // namespace ringagent::json_read
