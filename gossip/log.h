#pragma once

#include <functional>
#include <string>

#include "config/types.h"

namespace ringagent {

// Where the files of this room that touch the world (store, transport) put their lines. The daemon hands in
// its log, a test a vector.
using LogFunction = std::function<void(LogLevel, const std::string&)>;

}  // namespace ringagent
