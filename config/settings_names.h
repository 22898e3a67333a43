#pragma once

#include <string>
#include <string_view>

#include "config/settings.h"

// The names in ringagent.toml, and what to say about a name that is none. Private to config/settings.
//
// settings_keys() (config/settings.h) is the one list: whatever is not in it is unknown to the parser, too.
namespace ringagent {

const SettingsKey* settings_key(std::string_view section, std::string_view name);  // none: not known
bool is_section(std::string_view name);

std::string key_label(std::string_view section, std::string_view name);  // "[mysql] user", "cluster"

// A text from the file, fit for one line of a terminal.
std::string shown(std::string_view text);

// One line: that it is not known, and what was probably meant.
std::string unknown_key_text(const std::string& section, const std::string& name);
std::string unknown_section_text(const std::string& name);

}  // namespace ringagent
