#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "agent/binlog_args.h"
#include "config/types.h"

// Runs `mysqlbinlog` or `mariadb-binlog` and hands over what it prints, line by line, while it runs.
namespace ringagent {

// `asked` (--binlog-tool), else $RINGAGENT_BINLOG_TOOL, else what is found in $PATH. MariaDB installs a mysqlbinlog, too, that
// cannot read MySQL's logs: it is passed over. An error says what to install.
Result<std::string> find_binlog_tool(Flavor flavor, const std::string& asked);

// Ends when the tool has printed everything, or when `line` returns false: then the tool is stopped, and that is no error. An
// error is what the tool said, in one line. The tool runs in UTC; it gets the password through a file that exists in memory only.
Result<void> run_binlog_tool(const std::string& tool, const BinlogServer& server, const BinlogRange& range,
                             bool decoded, const std::function<bool(std::string_view)>& line);

}  // namespace ringagent
