#pragma once

#include <string>
#include <string_view>

#include "gossip/message.h"
#include "gossip/state.h"

// Messages, records and the durable state as bytes, and back.
//
// Intuition: everything is msgpack without names. A struct is an array of its fields in declared order, a
// list is an array, ids and hashes are bin (all zero: nil, one byte), an enumerator or a message kind is its
// number. `gossip/codec_fields.h` lists the fields once; writer and reader both walk that list, so they
// cannot disagree.
//
// Two versions side by side: a reader accepts longer arrays and skips what it does not know; of a
// record it hands that on (LaterFields). A shorter array is an error, except for fields that the list marks with `appended` (they came later and keep their
// defaults). A number beyond the last known enumerator becomes the fallback named in the list, or an error
// where none is safe.
//
// Invariants:
//  - decode never throws, never reads beyond its input, and checks every limit (lists, strings, bin, nesting,
//    total size) before it allocates; what it allocates is at most a small multiple of the input.
//  - decode(encode(x)) == x for every x within the limits of the wire.
//  - encode never fails for what the world can cause. What is too long is clipped: a text at the end of a
//    character, a list at its limit, a Facts or Decided that exceeds a message at half its length (both are
//    pieces; the receiver asks for the rest). A position that is too long goes out empty, which means "not
//    known": half of a vector would be a lie.
//  - a config or anything in the durable state beyond its limit is a broken invariant and aborts: whoever
//  makes
//    a config keeps it below kConfigBytesMax.
//
// Source of the format: https://github.com/msgpack/msgpack/blob/master/spec.md
namespace ringagent {

inline constexpr std::size_t kConfigBytesMax = 1024 * 1024;       // canonical bytes of one Config
inline constexpr std::size_t kStateBytesMax = 160 * 1024 * 1024;  // kChainKept of those, and the rest
inline constexpr std::size_t kMarkerBytesMax = 64 * 1024;         // one value
inline constexpr std::size_t kLaterBytesMax = 128 * 1024;         // of fields that a newer version has appended
inline constexpr std::size_t kNestingMax = 16;                    // within fields that are skipped unread

std::string encode(const Message& message);
Result<Message> decode(std::string_view bytes);

// A record by itself: what it adds to a Facts message, byte for byte.
std::string encode(const NodeRecord& record);
Result<NodeRecord> decode_record(std::string_view bytes);

// What `gossip/store` keeps in its slots.
std::string encode(const DurableState& state);
Result<DurableState> decode_state(std::string_view bytes);

}  // namespace ringagent
