#pragma once

#include <string_view>

// What each problem means, and what to do about it.
//
// Intuition: the text of a problem says what is the case, with names and numbers; whoever was woken by it also wants to
// know how bad that is and which step comes next. Both depend on the code alone, so they stand here, once, for the
// table, the page and every program that reads /status.
//
// Invariants: every code that agent/node_status.cpp gives has an entry (a test reads that file and looks); whatever else
// comes, the findings about a server's settings above all, carries its mend in its text and gets a general answer.
namespace ringagent {

struct Advice {
  std::string_view means;
  std::string_view todo;
};

Advice advice(std::string_view code);

// Is there an entry of its own?
bool has_advice(std::string_view code);

}  // namespace ringagent
