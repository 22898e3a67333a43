#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/types.h"
#include "mysql/dialect.h"
#include "mysql/server.h"

// The command line of `mysqlbinlog` (Oracle's) and `mariadb-binlog`, which read a server's binary log from afar. Pure.
//
// The password is never among the words: it stands in an option file that only the tool reads.
namespace ringagent {

struct BinlogServer {
  Flavor flavor = Flavor::unknown;
  Address address;
  std::string user;
  std::string password;
  TlsMode tls = TlsMode::off;
  std::string ca_file;
};

struct BinlogRange {
  std::string file;                    // "" (MySQL only): wherever the first wanted transaction stands
  std::uint64_t position = 0;          // 0: from the file's beginning
  std::string all_but;                 // MySQL: the transactions of this set are left out by the server
  std::string only;                    // MySQL: the tool shows these alone, whatever else arrives meanwhile
  std::vector<std::uint32_t> domains;  // MariaDB: only these; empty: all
  std::vector<std::uint32_t> servers;
};

// `decoded`: rows as text only (BinlogText reads it); else BINLOG statements that can be replayed, with the text beside them.
// `option_file`: where the tool finds option_file_text().
std::vector<std::string> binlog_words(const BinlogServer& server, const BinlogRange& range, bool decoded,
                                      const std::string& option_file);
std::string option_file_text(const std::string& password);

// What people call the tool for this server, in the order in which it is looked for, and where it comes from.
std::vector<std::string> binlog_tool_names(Flavor flavor);
std::string binlog_tool_missing(Flavor flavor);

}  // namespace ringagent
