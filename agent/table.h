#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "config/types.h"

// The status document as a person wants to see it: a picture of the ring, a table of the nodes, every problem
// in words.
//
// Intuition: whoever looks at this has been woken up. So the first line says whether it is bad, the picture
// shows where the ring is broken, the table says which node and link, and the words below say what it means
// and what helps.
//
//   shop: ok                                                        epoch 7
//
//     ,-> db1 --> db2 --> db4 -.        --> runs   -x> broken   -?> not known
//     '------------------------'
//
// Invariants:
//  - no line is wider than `width` columns (names are cut with a `~` before a column is lost);
//  - what came from a server or another host cannot steer the terminal: control characters are struck out;
//  - without colour the bytes are plain ASCII apart from what names and texts bring along.
namespace ringagent {

struct TableStyle {
  std::size_t width = 80;  // columns; fewer than 60 count as 60
  bool colour = false;
};

// `json` is what `status_json` made. An error says what is wrong with the document.
Result<std::string> status_table(std::string_view json, TableStyle style);

// Who has which gossip keys, by fingerprint, as the status has it; the one in use is marked.
Result<std::string> key_table(std::string_view json);

// `plan_json` as lines of SQL, or the reason for none.
Result<std::string> plan_text(std::string_view json);

}  // namespace ringagent
