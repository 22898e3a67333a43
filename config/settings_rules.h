#pragma once

#include "config/settings_values.h"

// What the keys of ringagent.toml mean: their types and limits one by one, then what they say together.
// Private to config/settings.
namespace ringagent {

// `found`: what is wrong with the sheet already. Settings, or all faults in the order of the lines.
SettingsResult apply_rules(const Sheet& sheet, const SettingsHost& host, Findings found);

}  // namespace ringagent
