#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "config/settings.h"

// The config as the commands read it: whole with its secrets, or without them.
namespace ringagent {

// Without reading the password and key files that it names: whoever asks for the status need not be able to.
SettingsResult settings_without_secrets(const std::string& path);

// "/etc/ringagent/ringagent.toml:12: what is wrong", a line for each.
void print_faults(std::ostream& err, const std::string& path, const std::vector<SettingsFault>& faults);
std::string fault_text(const std::string& path, const SettingsFault& fault);

}  // namespace ringagent
