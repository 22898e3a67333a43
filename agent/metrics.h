#pragma once

#include <string>

#include "agent/snapshot.h"

// A snapshot in the text format of Prometheus (exposition format 0.0.4).
//
// Rules that promtool checks and that hold here by construction: each family has one HELP and one TYPE line
// before its samples and stands in one block; counters end in _total; units are base units (seconds, bytes)
// and in the name; label values are escaped. What is not known has no sample: a lag of zero is a claim, a
// missing lag is not.
namespace ringagent {

// `age_s`: how old the snapshot is, so that an alert can tell a hung agent from a quiet one.
std::string metrics_text(const Snapshot& snapshot, double age_s);

}  // namespace ringagent
