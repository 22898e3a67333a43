#include "config/settings.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>

#include "config/settings_names.h"
#include "config/settings_rules.h"

// From TOML to a Sheet of known sections and keys. The TOML library is known here and nowhere else.
namespace ringagent {
namespace {

std::string kind_text(toml::node_type type) {
  switch (type) {
    case toml::node_type::none:
      return "nothing";
    case toml::node_type::table:
      return "a section";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a point";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
  }
  return "something else";
}

std::size_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

SheetValue value_of(const toml::node& node) {
  SheetValue out;
  out.kind_text = kind_text(node.type());
  out.line = line_of(node);
  if (const auto* text = node.as_string()) {
    out.kind = SheetValue::Kind::text;
    out.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    out.kind = SheetValue::Kind::integer;
    out.integer = integer->get();
  } else if (const auto* flag = node.as_boolean()) {
    out.kind = SheetValue::Kind::flag;
    out.flag = flag->get();
  } else if (const auto* list = node.as_array()) {
    out.kind = SheetValue::Kind::list;
    for (const toml::node& element : *list) out.list.push_back(value_of(element));
  }
  return out;
}

// A key of `section`, into the sheet if there is such a key.
void take_key(const std::string& section, const std::string& name, const toml::node& node, Sheet& sheet,
              Findings& found) {
  if (settings_key(section, name) != nullptr)
    sheet.sections[section].values[name] = value_of(node);
  else
    found.faults.push_back({line_of(node), unknown_key_text(section, name)});
}

void take_section(const std::string& name, const toml::table& table, Sheet& sheet, Findings& found) {
  sheet.sections[name].line = line_of(table);
  for (const auto& [key, node] : table) take_key(name, std::string(key.str()), node, sheet, found);
}

Sheet sheet_of(const toml::table& file, Findings& found) {
  Sheet sheet;
  for (const auto& [key, node] : file) {
    const std::string name(key.str());
    if (is_section(name)) {
      if (const auto* table = node.as_table())
        take_section(name, *table, sheet, found);
      else
        found.faults.push_back({line_of(node), name + ": is " + kind_text(node.type()) + "; it is a section: write [" +
                                                   name + "] on a line of its own"});
    } else if (settings_key("", name) == nullptr && (node.is_table() || node.is_array_of_tables())) {
      found.faults.push_back({line_of(node), unknown_section_text(name)});
    } else {
      take_key("", name, node, sheet, found);
    }
  }
  return sheet;
}

}  // namespace

SettingsResult parse_settings(std::string_view text, const SettingsHost& host) {
  const toml::parse_result file = toml::parse(text);
  if (!file) {
    const std::string what(file.error().description());
    return tl::unexpected(
        std::vector<SettingsFault>{{file.error().source().begin.line, "this is no TOML: " + shown(what)}});
  }
  Findings found;
  const Sheet sheet = sheet_of(file.table(), found);
  return apply_rules(sheet, host, std::move(found));
}

}  // namespace ringagent
