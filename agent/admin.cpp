#include "agent/admin.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "agent/settings_map.h"

namespace ringagent {
namespace {

constexpr Duration kConnect = 10s;

}  // namespace

Result<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return fail("cannot read " + path + ": " + std::strerror(errno));
  return line;
}

Result<ConnectSettings> admin_connection(const AdminOptions& options, const Settings& settings) {
  ConnectSettings connection = local_connection(settings);
  if (!options.mysql_socket.empty()) connection.socket = options.mysql_socket;
  connection.user = options.user;
  connection.password.clear();
  if (options.password_file.empty()) return connection;
  auto password = first_line(options.password_file);
  if (!password) return tl::unexpected(password.error());
  connection.password = *password;
  return connection;
}

Result<Client> connect_admin(const ConnectSettings& connection) {
  auto client = Client::connect(connection, kConnect);
  if (client) return std::move(*client);
  const std::string where = connection.socket.empty() ? connection.address.str() : connection.socket;
  return fail("cannot log in to the server at " + where + " as " + connection.user + ": " + client.error().text +
              "; --user, --password-file and --mysql-socket choose");
}

AccountSettings account_settings(const Settings& settings) {
  AccountSettings out;
  out.user = settings.mysql.user;
  if (settings.mysql.socket.empty()) {
    const std::string& host = settings.mysql.address.host;
    const bool loopback = host == "127.0.0.1" || host == "::1" || host == "localhost";
    out.host = loopback ? host : "%";
  }
  out.password = settings.mysql.password.reveal();
  out.replication_user = settings.replication.user;
  out.replication_password = settings.replication.password.reveal();
  out.require_tls = settings.replication.tls != Tls::off;
  return out;
}

}  // namespace ringagent
