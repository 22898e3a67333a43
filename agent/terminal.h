#pragma once

#include "agent/table.h"

// What standard output is: a terminal (its width, colours unless NO_COLOR is set) or a pipe (80 columns,
// plain).
namespace ringagent {

bool stdout_is_terminal();
TableStyle stdout_style();

}  // namespace ringagent
