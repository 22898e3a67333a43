#pragma once

#include <map>
#include <string>
#include <vector>

#include "gossip/message.h"

// Forming a ring without a coordinator and without a first node: who may be joined to whom? (protocol.md section 2)
//
// Intuition: nothing is decided before every name on the list has been heard and its server looked at. Servers that are
// fresh, or of which each can still give what the others lack, are joined in the order of the list. Servers that
// already run as a ring are adopted as they are: the order found becomes the home order and nothing is touched.
// Anything else is named and refused. Pure.
namespace ringagent {

struct Formation {
  bool possible = false;
  bool adopted = false;  // a ring that runs already
  std::vector<std::string> home_order;
  std::string reason;
  std::vector<std::string> problems;  // why not yet, or why not: a sentence each
};

// `hellos`: the newest Hello of each name, this node's own among them.
Formation judge_formation(const std::vector<std::string>& initial, const std::map<std::string, Hello>& hellos);

// What these servers share though it has to tell them apart: a sentence each, with what would be right.
std::vector<std::string> clashes(const std::map<std::string, Hello>& hellos);

}  // namespace ringagent
