#pragma once

#include <cstddef>
#include <string>
#include <vector>

// The ring drawn with plain characters.
//
// Intuition: a ring on paper is one line of names with arrows and a way back underneath. The arrow before a
// name is the link that this node replicates over, so the node beside a broken arrow is the one to look at.
// The arrow that closes the circle is the link into the first node.
//
//     ,-> db1 --> db2 -x> db4 -.       --> runs    -x> broken    -?> nobody can tell
//     '------------------------'
namespace ringagent {

enum class LinkLook { runs, broken, unknown };

struct Stop {
  std::string name;
  LinkLook into = LinkLook::unknown;  // the link that this node replicates over
};

// In rows of at most `width` (>= 40) columns, with a legend for what is not well. None and one node are said
// in words.
std::string ring_picture(const std::vector<Stop>& stops, std::size_t width, bool colour);

}  // namespace ringagent
