#pragma once

#include <cstdint>
#include <string>

#include "config/types.h"

// The only source of randomness in this room, apart from `gossip/seal` so that the latter stays a function of
// its arguments.
namespace ringagent {

// Chooses the fast implementations for this processor; without it everything works, slower. False: the system
// gives no randomness, and nothing here may be called.
bool init_crypto();

std::string generate_key_text();  // one line of a key file
Uuid random_uuid();               // version 4
std::uint64_t random_u64();
std::string random_bytes(std::size_t size);

}  // namespace ringagent
