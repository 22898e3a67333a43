#include "agent/binlog_args.h"

namespace ringagent {
namespace {

std::string list(const std::vector<std::uint32_t>& numbers) {
  std::string out;
  for (const std::uint32_t number : numbers) out += (out.empty() ? "" : ",") + std::to_string(number);
  return out;
}

void add_tls(const BinlogServer& server, std::vector<std::string>& words) {
  if (server.flavor == Flavor::mysql) {
    words.emplace_back(server.tls == TlsMode::off        ? "--ssl-mode=DISABLED"
                       : server.tls == TlsMode::required ? "--ssl-mode=REQUIRED"
                                                         : "--ssl-mode=VERIFY_CA");
    words.emplace_back("--get-server-public-key");  // for passwords without TLS
  } else {
    words.emplace_back(server.tls == TlsMode::off ? "--skip-ssl" : "--ssl");
    if (server.tls == TlsMode::required) words.emplace_back("--skip-ssl-verify-server-cert");
  }
  if (server.tls == TlsMode::verify_ca) words.push_back("--ssl-ca=" + server.ca_file);
}

}  // namespace

std::vector<std::string> binlog_words(const BinlogServer& server, const BinlogRange& range, bool decoded,
                                      const std::string& option_file) {
  std::vector<std::string> words = {"--defaults-file=" + option_file, "--host=" + server.address.host,
                                    "--port=" + std::to_string(server.address.port), "--protocol=tcp",
                                    "--user=" + server.user};
  add_tls(server, words);
  const bool named = !range.file.empty();
  words.emplace_back(server.flavor == Flavor::mysql && !named ? "--read-from-remote-source=BINLOG-DUMP-GTIDS"
                                                              : "--read-from-remote-server");
  words.emplace_back("--to-last-log");
  words.emplace_back("--verbose");
  if (decoded) words.emplace_back("--base64-output=decode-rows");
  if (!range.all_but.empty()) words.push_back("--exclude-gtids=" + range.all_but);
  if (!range.only.empty()) words.push_back("--include-gtids=" + range.only);
  if (!range.domains.empty()) words.push_back("--do-domain-ids=" + list(range.domains));
  if (!range.servers.empty()) words.push_back("--do-server-ids=" + list(range.servers));
  if (range.position != 0) words.push_back("--start-position=" + std::to_string(range.position));
  words.push_back(range.file);
  return words;
}

std::string option_file_text(const std::string& password) {
  std::string quoted;
  for (const char c : password) {
    if (c == '\\' || c == '"') quoted += '\\';
    quoted += c;
  }
  return "[client]\npassword=\"" + quoted + "\"\n";
}

std::vector<std::string> binlog_tool_names(Flavor flavor) {
  if (flavor == Flavor::mysql) return {"mysqlbinlog"};
  return {"mariadb-binlog", "mysqlbinlog"};
}

std::string binlog_tool_missing(Flavor flavor) {
  if (flavor == Flavor::mysql) {
    return "MySQL's mysqlbinlog is not installed here (Debian: apt-get install mysql-server-core); --binlog-tool PATH "
           "or "
           "RINGAGENT_BINLOG_TOOL names one elsewhere";
  }
  return "mariadb-binlog is not installed here (Debian: apt-get install mariadb-client); --binlog-tool PATH or "
         "RINGAGENT_BINLOG_TOOL names one elsewhere";
}

}  // namespace ringagent
