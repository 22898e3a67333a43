#pragma once

#include <string>

#include "agent/stranded_report.h"

// What `ringagent stranded show` prints, for people and as JSON. Pure.
namespace ringagent {

struct StrandedAbout {
  std::string node;
  std::string address;
  std::string set;
  std::string ring_node;  // whose log stood for the ring's; "" if nobody's was needed
  std::string replication_user;
};

std::string stranded_text(const StrandedAbout& about, const StrandedReport& report);
std::string stranded_json(const StrandedAbout& about, const StrandedReport& report);

}  // namespace ringagent
