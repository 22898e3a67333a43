#include <algorithm>
#include <cctype>
#include <cstdio>

#include "mysql/dialect.h"

// The plans: what to say to make a server do something.
namespace ringagent {
namespace {

// Control characters would end a line of the server's own replication files.
bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return std::iscntrl(static_cast<unsigned char>(c)); });
}

std::string seconds(std::uint32_t ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%u.%03u", ms / 1000, ms % 1000);
  return text;
}

Statement plain(std::string sql, std::string label, Duration deadline = 2s) {
  Statement statement;
  statement.shown = sql;
  statement.sql = std::move(sql);
  statement.label = std::move(label);
  statement.deadline = deadline;
  return statement;
}

std::vector<Option> address_options(const Address& source) {
  return {{"HOST", quote(source.host)}, {"PORT", std::to_string(source.port)}};
}

// Both flavours reset the heartbeat period to half of slave_net_timeout when the address changes: it is named
// again.
std::vector<Option> repoint_options(const Link& link, const Address& source) {
  auto options = address_options(source);
  if (link.heartbeat_period_ms != 0) options.push_back({"HEARTBEAT_PERIOD", seconds(link.heartbeat_period_ms)});
  return options;
}

std::optional<Error> wrong_source(const Version& version, const Address& source) {
  const std::size_t host_max = version.flavor == Flavor::mariadb || version.number < 80017 ? 60 : 255;
  if (source.host.empty() || source.port == 0) return Error{"no source address"};
  if (!printable(source.host)) return Error{"the source's host name has a control character in it"};
  if (source.host.size() > host_max)
    return Error{"the source's host name is longer than the " + std::to_string(host_max) + " characters that " +
                 version.text + " takes"};
  return std::nullopt;
}

std::optional<Error> wrong_account(const Version& version, const LinkSettings& settings) {
  if (!printable(settings.user) || !printable(settings.password) || !printable(settings.ca_file))
    return Error{"[replication] user, password and ca must not hold control characters"};
  if (settings.user.empty()) return Error{"[replication] user is empty"};
  if (settings.user.size() > (version.flavor == Flavor::mariadb ? 128U : 96U))
    return Error{"[replication] user is too long for the server"};
  if (version.flavor == Flavor::mysql && settings.password.size() > 32)
    return Error{"[replication] the password has more than the 32 characters that MySQL takes for a replication link"};
  if (version.flavor == Flavor::mariadb && settings.password.size() > 96)
    return Error{
        "[replication] the password has more than the 96 characters that MariaDB takes for a replication "
        "link"};
  if (settings.tls == TlsMode::verify_ca && settings.ca_file.empty())
    return Error{"[replication] tls = \"verify_ca\" needs ca = FILE"};
  return std::nullopt;
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\0') {
      out += "\\0";
      continue;
    }
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

Statement Dialect::change(std::string label, const std::vector<Option>& options) const {
  const std::string prefix = says_source() ? "SOURCE_" : "MASTER_";
  std::string sql = says_source() ? "CHANGE REPLICATION SOURCE TO " : "CHANGE MASTER TO ";
  std::string shown = sql;
  bool first = true;
  for (const Option& option : options) {
    const bool whole = option.name == "PUBLIC_KEY" || option.name == "IGNORE_SERVER_IDS";
    const std::string name = option.name == "PUBLIC_KEY" ? "GET_" + prefix + option.name
                             : whole                     ? option.name
                                                         : prefix + option.name;
    const std::string head = (first ? "" : ", ") + name + "=";
    sql += head + option.value;
    shown += head + (option.secret ? "'***'" : option.value);
    first = false;
  }
  Statement statement = plain(std::move(sql), std::move(label), 5s);
  statement.shown = std::move(shown);
  return statement;
}

std::vector<Option> Dialect::account_options(const LinkSettings& settings) const {
  const bool tls = settings.tls != TlsMode::off;
  const bool verify = settings.tls == TlsMode::verify_ca;
  std::vector<Option> options = {{"USER", quote(settings.user)},
                                 {"PASSWORD", quote(settings.password), true},
                                 {"CONNECT_RETRY", std::to_string(std::max(1U, settings.connect_retry_s))},
                                 {"HEARTBEAT_PERIOD", seconds(settings.heartbeat_period_ms)},
                                 {"SSL", tls ? "1" : "0"},
                                 {"SSL_CA", quote(verify ? settings.ca_file : "")},
                                 {"SSL_VERIFY_SERVER_CERT", verify && mariadb() ? "1" : "0"}};
  if (mariadb()) return options;            // --master-retry-count is a server option there
  options.push_back({"RETRY_COUNT", "0"});  // for ever; MySQL 9 gives up after 10
  // caching_sha2_password needs the source's RSA key where there is no TLS.
  if (version_.number >= 80004) options.push_back({"PUBLIC_KEY", tls ? "0" : "1"});
  return options;
}

Result<std::vector<Statement>> Dialect::repoint(const Link& link, const Address& source) const {
  if (const auto wrong = wrong_source(version_, source)) return tl::unexpected<Error>(*wrong);
  if (!link.uses_gtid) return fail("the link does not use GTIDs (" + link.gtid_mode_text + "): it is left alone");
  std::vector<Statement> plan;
  if (mariadb()) {
    plan = stop_link();
    plan.push_back(change("repoint", repoint_options(link, source)));
    plan.push_back(start_link().front());
    return plan;
  }
  if (link.sql_errno != 0)
    return fail("the applier stands on error " + std::to_string(link.sql_errno) +
                ": a repoint now would throw away what it has received");
  if (!link.sql_running) plan.push_back(plain(std::string("START ") + replica() + " SQL_THREAD", "start applier"));
  plan.push_back(stop_receiving().front());
  plan.push_back(change("repoint", repoint_options(link, source)));
  plan.push_back(start_receiver().front());
  return plan;
}

Result<std::vector<Statement>> Dialect::create_link(const Address& source, const LinkSettings& settings) const {
  if (const auto wrong = wrong_source(version_, source)) return tl::unexpected<Error>(*wrong);
  if (const auto wrong = wrong_account(version_, settings)) return tl::unexpected<Error>(*wrong);
  std::vector<Option> options = address_options(source);
  for (auto& option : account_options(settings)) options.push_back(std::move(option));
  if (mariadb())
    options.push_back({"USE_GTID", "slave_pos"});
  else
    options.push_back({"AUTO_POSITION", "1"});
  return std::vector<Statement>{change("create link", options), start_link().front()};
}

Result<std::vector<Statement>> Dialect::adjust_link(const Link& link, const LinkSettings& settings) const {
  if (const auto wrong = wrong_account(version_, settings)) return tl::unexpected<Error>(*wrong);
  if (!link.uses_gtid) return fail("the link does not use GTIDs (" + link.gtid_mode_text + "): it is left alone");
  if (mariadb())
    return std::vector<Statement>{stop_link().front(), change("change link", account_options(settings)),
                                  start_link().front()};
  if (!link.sql_running) return fail("the applier is stopped: a change now would throw away what it has received");
  return std::vector<Statement>{stop_receiving().front(), change("change link", account_options(settings)),
                                start_receiver().front()};
}

std::vector<Statement> Dialect::start_link() const {
  return {plain(std::string("START ") + replica(), "start link")};
}

std::vector<Statement> Dialect::start_receiver() const {
  return {plain(std::string("START ") + replica() + " IO_THREAD", "start receiver")};
}

std::vector<Statement> Dialect::stop_link() const {
  if (mariadb()) return {plain("STOP SLAVE", "stop link", 10s)};
  // The receiver first and for itself: MySQL's applier may take a minute to give up half a transaction.
  return {stop_receiving().front(), plain(std::string("STOP ") + replica(), "stop link", 10s)};
}

std::vector<Statement> Dialect::stop_receiving() const {
  if (mariadb()) return stop_link();
  // 2 s inside a connect(); then a little more.
  return {plain(std::string("STOP ") + replica() + " IO_THREAD", "stop receiver", 5s)};
}

std::vector<Statement> Dialect::set_read_only() const {
  return {plain("SET SESSION lock_wait_timeout = 2", "bound the wait", 1s),
          plain(mariadb() ? "SET GLOBAL read_only = 1" : "SET GLOBAL super_read_only = 1", "set read_only", 3s)};
}

std::vector<Statement> Dialect::lift_read_only() const {
  return {plain("SET GLOBAL read_only = 0", "lift read_only", 3s)};  // MySQL lifts super_read_only with it
}

std::vector<Statement> Dialect::prime() const {
  if (!mariadb()) return {};
  return {plain("DROP VIEW IF EXISTS `ringagent`.`prime`", "prime domain", 3s)};
}

}  // namespace ringagent
