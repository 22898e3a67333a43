#pragma once

#include <string>

#include "gossip/key_book.h"

// The gossip keys as commands have left them, on the disk: `gossip.keys` in the state directory, 0600. key_file lies
// where the agent may not write.
namespace ringagent {

// An empty book if there is no file. A file that is damaged, or that others can read, is an error: to go on without it could
// bring a key back that was removed.
Result<KeyBook> read_key_book(const std::string& state_dir);

// Whole or not at all, and durable when it returns.
Result<void> write_key_book(const std::string& state_dir, const KeyBook& book);

}  // namespace ringagent
