#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/json_read.h"
#include "config/types.h"

// From whom a copy comes, out of what an agent's status says. Pure.
//
// The nearest member before this one in home order is the one that it will follow afterwards: what that one lacks at
// the moment of the copy the link brings, and nobody else has to serve two.
namespace ringagent {

struct Donor {
  std::string name;
  Address address;
};

// `wanted`: a name, or "" for the rule above. One line why there is none.
Result<Donor> choose_donor(const json_read::Json& status, std::string_view self, const std::string& wanted);

// What all members but this one have: their positions, as texts.
std::vector<std::string> positions_of_others(const json_read::Json& status, std::string_view self);

}  // namespace ringagent
