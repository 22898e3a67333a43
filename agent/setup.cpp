#include "mysql/setup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <ostream>
#include <sstream>

#include "agent/admin.h"
#include "agent/cli.h"
#include "agent/commands.h"
#include "agent/config_file.h"
#include "mysql/client.h"

// `ringagent setup`: what a server must be given once. It may be run again: accounts are brought in line, a
// snippet that is there already is compared. `--print` shows the same and touches nothing.
namespace ringagent {
namespace {

constexpr Duration kDeadline = 10s;

struct Server {
  Version version;
  std::uint32_t server_id = 0;
  std::optional<Client> client;  // none if it was not asked
};

// As the administrator, or only what --server-version says.
Result<Server> reach(const SetupOptions& options, const Settings& settings) {
  if (!options.server_version.empty()) {
    if (!options.print) return fail("--server-version goes with --print only");
    return Server{parse_version(options.server_version), 0, std::nullopt};
  }
  const auto connection = admin_connection(options.admin, settings);
  if (!connection) return tl::unexpected(connection.error());
  auto client = connect_admin(*connection);
  if (!client) return fail(client.error().text + ", --print --server-version asks no server");
  auto rows = client->query("SELECT VERSION() AS version, @@global.server_id AS id", kDeadline);
  if (!rows) return fail("cannot ask the server for its version: " + rows.error().text);
  const std::string* version = rows->at(0, "version");
  const std::string* id = rows->at(0, "id");
  if (!version || !id) return fail("the server does not tell its version");
  const auto server_id = static_cast<std::uint32_t>(std::strtoul(id->c_str(), nullptr, 10));
  return Server{parse_version(*version), server_id, std::move(*client)};
}

AccountSettings accounts(const SetupOptions& options, const Settings& settings) {
  AccountSettings out = account_settings(settings);
  out.replication_host = options.replication_host;
  return out;
}

// Its place in [ring] initial, from 1; 0 if it is not in there.
std::uint32_t place(const Settings& settings) {
  const auto& all = settings.ring.initial;
  const auto it = std::find(all.begin(), all.end(), settings.node);
  return it == all.end() ? 0 : static_cast<std::uint32_t>(it - all.begin()) + 1;
}

Result<SnippetSettings> snippet_settings(const SetupOptions& options, const Settings& settings, const Server& server) {
  SnippetSettings out;
  const std::uint32_t place_in_ring = place(settings);
  out.server_id = options.server_id != 0 ? options.server_id : server.server_id > 1 ? server.server_id : place_in_ring;
  if (out.server_id == 0) {
    return fail("which server_id? " + settings.node +
                " is not in [ring] initial: give --server-id N, unique in the ring");
  }
  const auto members = static_cast<std::uint32_t>(settings.ring.initial.size());
  out.auto_increment_increment = std::max(out.auto_increment_increment, members);
  out.auto_increment_offset =
      place_in_ring != 0 ? place_in_ring : (out.server_id - 1) % out.auto_increment_increment + 1;
  return out;
}

// Where Debian's packages of the two look; "" if there is no such directory.
std::string usual_snippet_file(const Version& version) {
  const char* directory = version.flavor == Flavor::mariadb ? "/etc/mysql/mariadb.conf.d" : "/etc/mysql/mysql.conf.d";
  struct stat st {};
  const bool there = ::stat(directory, &st) == 0 && S_ISDIR(st.st_mode);
  return there ? std::string(directory) + "/90-ringagent.cnf" : std::string();
}

Result<std::string> write_snippet(const std::string& path, const std::string& text, bool force) {
  if (std::ifstream file(path); file) {
    std::stringstream there;
    there << file.rdbuf();
    if (there.str() == text) return path + " is as it should be";
    if (!force)
      return fail(path + " exists and differs: compare with `ringagent setup --print`, or give --force to replace it");
  }
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return fail("cannot write " + fresh + ": " + std::strerror(errno));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const std::string why = std::strerror(errno);
  ::close(fd);
  if (!written || ::rename(fresh.c_str(), path.c_str()) != 0) {
    const std::string reason = written ? std::strerror(errno) : why;
    ::unlink(fresh.c_str());
    return fail("cannot write " + path + ": " + reason);
  }
  return "wrote " + path + "; restart the server once for it to count";
}

Result<void> create_accounts(Client& client, const std::vector<Statement>& statements) {
  for (const auto& statement : statements) {
    if (auto done = client.query(statement.sql, statement.deadline); !done) {
      return fail("the server refused `" + statement.shown + "`: " + done.error().text);
    }
  }
  return {};
}

void print_all(const std::vector<Statement>& statements, const std::string& snippet, const std::string& path,
               std::ostream& out) {
  out << "-- As an administrator, on one connection; put the passwords in where *** stands.\n";
  for (const auto& statement : statements) out << statement.shown << ";\n";
  out << "\n-- " << (path.empty() ? "A file in the server's conf.d" : path) << ":\n" << snippet;
}

}  // namespace

int setup_command(const SetupOptions& options, Console console) {
  const auto complain = [&](const std::string& line) {
    console.err << "ringagent: " << line << "\n";
    return kExitRefused;
  };
  const auto settings = options.print ? settings_without_secrets(options.config) : load_settings(options.config);
  if (!settings) {
    print_faults(console.err, options.config, settings.error());
    return kExitConfig;
  }
  auto server = reach(options, *settings);
  if (!server) return complain(server.error().text);
  const auto statements = account_statements(server->version, accounts(options, *settings));
  if (!statements) return complain(statements.error().text);
  const auto wanted = snippet_settings(options, *settings, *server);
  if (!wanted) return complain(wanted.error().text);
  const std::string snippet = config_snippet(server->version, *wanted);
  const std::string path = options.snippet_file.empty() ? usual_snippet_file(server->version) : options.snippet_file;
  if (options.print) {
    print_all(*statements, snippet, path, console.out);
    return kExitOk;
  }
  if (auto created = create_accounts(*server->client, *statements); !created) return complain(created.error().text);
  console.out << "accounts " << settings->mysql.user << " and " << settings->replication.user
              << " are as they should be\n";
  if (path.empty()) {
    console.out << "no conf.d was found; put this into the server's config and restart it (or give --snippet FILE):\n"
                << snippet;
    return kExitOk;
  }
  const auto written = write_snippet(path, snippet, options.force);
  if (!written) return complain(written.error().text);
  console.out << *written << "\n";
  return kExitOk;
}

}  // namespace ringagent
