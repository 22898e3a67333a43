#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gossip/message.h"
#include "gossip/seal.h"

// What `ringagent key` has made of the gossip keys: which are installed, which were removed, which one seals. Pure.
//
// Intuition: every member keeps such a book, on its disk too, and hands it to whoever does not show in its record what
// the book says. Each entry has a version, a command counts it up, and two books are merged entry by entry, the higher
// version first: so it does not matter who tells whom, how often, and in which order, two commands at two places do not
// undo each other, and a key that was removed does not come back with somebody who was away.
//
// The keys of a node are those of its book, then those of its key file that the book does not know. What the book says of
// a key counts more than the file: removed stays removed, though the file still has it. So a ring that has never seen
// a `ringagent key` lives by its files alone, in their order.
//
// Invariants:
//  - entries are sorted by id, each once; an installed one has its bytes, and they have this id; a removed one has none;
//  - at most kKeyEntriesMax entries: beyond that the removed ones of the lowest version are forgotten;
//  - a ring is never empty where the file is not, for an empty one means that nothing is sealed.
namespace ringagent {

// The first one seals: what is in use, else the file's first. At most kKeysMax.
KeyRing ring_of(const KeyBook& book, const KeyRing& file);

// What comes from others may be anything: false if it breaks an invariant of above.
bool sound(const KeyBook& book);

// `into` and `other` are sound; returns whether `into` has changed.
bool merge(KeyBook& into, const KeyBook& other);

// The deeds of the three commands. Each is newer than all that the book knows.
void install(KeyBook& book, const Key& key);
void use(KeyBook& book, const Key& key);
void remove(KeyBook& book, const KeyId& id);
bool removed(const KeyBook& book, const std::string& id);

// As members gossip them.
std::vector<std::string> key_names(const KeyRing& ring);

// Does a member that shows `keys` lack something that this book, and the ring made from it, has?
bool is_news(const KeyBook& book, const KeyRing& ring, const std::vector<std::string>& keys);

// The file in the state directory: a line an entry, secret. The error names the line.
std::string key_book_text(const KeyBook& book);
Result<KeyBook> parse_key_book(std::string_view text);

}  // namespace ringagent
