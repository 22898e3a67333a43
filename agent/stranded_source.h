#pragma once

#include <string>

#include "agent/stranded_report.h"
#include "agent/stranded_text.h"
#include "config/settings.h"

// Reads what is stranded on a node from the servers themselves, as the replication account: the node's binary log from the
// first stranded transaction on, and what the node lacks from a member of the ring. Changes nothing.
namespace ringagent {

struct StrandedPlace {
  StrandedAbout about;
  Flavor flavor = Flavor::unknown;
  Address address;  // of the node's server
  GtidSet stranded;
  GtidSet executed;
  Address ring_address;   // of about.ring_node's server
  GtidSet ring_executed;  // what that one has
};

// `tool`: agent/binlog_tool.h. An error is one line; what keeps the ring's side from being read stands in the report instead.
Result<StrandedReport> read_stranded(const StrandedPlace& place, const Settings& settings, const std::string& tool);

// Writes exactly the stranded transactions into a new file, 0600 and on the disk when this returns: as SQL that can be fed to
// a server by hand, each row as text beside it. `report` is what read_stranded() gave.
Result<void> write_stranded(const StrandedPlace& place, const StrandedReport& report, const Settings& settings,
                            const std::string& tool, const std::string& file);

}  // namespace ringagent
