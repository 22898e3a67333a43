#pragma once

#include <string>

#include "config/settings.h"
#include "mysql/client.h"
#include "mysql/setup.h"

// The own server as an administrator sees it: for `setup`, `join` and `reseed`, which do what the agent's own account
// may not.
namespace ringagent {

struct AdminOptions {
  std::string user = "root";
  std::string password_file;  // default: no password
  std::string mysql_socket;   // default: that of the config
};

// The first line of a file.
Result<std::string> first_line(const std::string& path);

// How to log in; reads the password file.
Result<ConnectSettings> admin_connection(const AdminOptions& options, const Settings& settings);
// Logs in; one line why not.
Result<Client> connect_admin(const ConnectSettings& connection);

// The two accounts, as the config wants them.
AccountSettings account_settings(const Settings& settings);

}  // namespace ringagent
