#include "agent/config_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <ostream>
#include <sstream>

namespace ringagent {

SettingsResult settings_without_secrets(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return tl::unexpected(std::vector<SettingsFault>{{0, std::string("cannot be read: ") + std::strerror(errno)}});
  }
  std::stringstream text;
  text << file.rdbuf();
  SettingsHost host = this_host();
  host.read_secret_file = [](const std::string&) -> Result<std::string> { return std::string("-"); };
  return parse_settings(text.str(), host);
}

std::string fault_text(const std::string& path, const SettingsFault& fault) {
  return path + (fault.line != 0 ? ":" + std::to_string(fault.line) : "") + ": " + fault.text;
}

void print_faults(std::ostream& err, const std::string& path, const std::vector<SettingsFault>& faults) {
  for (const auto& fault : faults) err << fault_text(path, fault) << "\n";
}

}  // namespace ringagent
