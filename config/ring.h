#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/types.h"

// The one decided value: the ring config, and the pure functions that follow from it.
//
// Intuition: the whole cluster agrees on one small document, nothing else. It lists every member in HOME ORDER
// (the intended order of the whole ring) with a flag `in`. The ring is what is left when the others are struck
// out; everybody's upstream follows from the ring. A repair is a flag taken away, a splice a flag given back.
//
// Invariants:
//  - (generation, epoch) orders configs; each names the hash of its parent, so a chain cannot be mixed.
//  - names, ids and non-zero server_ids are distinct; at least one member votes; the number of voters is odd.
//  - at least one ring or spare member is `in`: a ring is never decided empty.
//  - equal configs have equal canonical bytes on every host and compiler, so equal hashes.
//  - a leaf or a witness is never `in`; a leaf never votes.
//  - wanted_order is empty or names each member once.
//  - writer is nil, or (only with one_writer) a member that is in; old_writers names nobody twice, and never the writer.
namespace ringagent {

using Hash = std::array<std::uint8_t, 32>;

enum class Role : std::uint8_t { ring = 0, leaf = 1, spare = 2, witness = 3 };
const char* to_string(Role role);
Result<Role> parse_role(std::string_view text);

// A planned absence. A member that is in and has one is drained first: it takes no writes, and goes out when all that it
// wrote has reached the next one.
enum class Absence : std::uint8_t {
  none = 0,
  maintenance = 1,  // out until `absence_ms` has passed, or a person ends it
  leaving = 2,      // then it is no member any more
  moving = 3,       // to another place in the ring: out, moved, in
  standby = 4,      // a spare whose place is taken again
  copying = 5,      // its data is made anew from a copy; until that is there it follows nobody
};
const char* to_string(Absence absence);

struct Member {
  NodeId id;
  std::string name;
  Address gossip;
  Address mysql;
  std::uint32_t server_id = 0;  // 0: not known yet, or a witness
  std::string server_uuid;      // MySQL only; MariaDB has none
  Role role = Role::ring;
  bool in = false;    // is this node in the ring now?
  bool vote = false;  // is it an acceptor of the next epoch?
  // Why it is out (a stable word of protocol.md section 4: mysqld_down, silent, ...) and in a sentence.
  std::string out_class;
  std::string note;
  // The epoch that put it out, and the largest own-origin position that the deciders knew of: what is beyond it
  // never left the node ("stranded").
  std::uint64_t out_epoch = 0;
  std::string out_position;
  std::uint32_t flaps = 0;            // doubles the settling time each
  std::uint64_t lost_vote_epoch = 0;  // the epoch that last took its vote away; 0: never
  Absence absence = Absence::none;
  std::uint64_t absence_ms = 0;  // counted by each node from learning it; 0: until a person ends it
  bool replay = false;           // out: a person has decided that what is stranded on it goes out when it comes back
  bool operator==(const Member&) const = default;
};

struct Pause {
  bool on = false;
  std::string by;  // node name
  std::string reason;
  std::uint64_t for_ms = 0;  // counted by each node from learning it; 0: until resumed
  bool operator==(const Pause&) const = default;
};

// [ring] writers = "one": one that took writes before the present writer, and was not known to take none any more when
// that one was chosen.
struct OldWriter {
  NodeId id;
  // Its agent was alive when it was last heard of, so its lease ends by the clock (agent/lease.h). False: its server was
  // heard of after its agent had gone, or that agent has lost its state, or it had no lease (all wrote, or there was no
  // ring), so nobody but its own server or a person can say that it takes no writes.
  bool by_time = true;
  bool operator==(const OldWriter&) const = default;
};

struct Config {
  ClusterId cluster_id;
  std::string cluster;           // the name in ringagent.toml
  std::uint32_t generation = 0;  // +1 at each forced quorum
  std::uint64_t epoch = 0;       // +1 at each decided change; 1 is the first
  Hash parent{};                 // hash of the config before it
  std::vector<Member> members;   // in home order
  std::vector<NodeId>
      wanted_order;  // all members in the home order that a person asked for; empty: it is as it should be
  Pause paused;
  std::string reason;  // one sentence: why this epoch exists
  std::string
      evidence_class;    // the class of protocol.md section 4 that caused it, or formation, return, command, votes
  std::string proposer;  // node name

  // [ring] writers = "one": all others are read_only. The rest stands in the bytes with it only.
  bool one_writer = false;
  NodeId writer;                       // nil: there is none
  std::uint64_t writer_since = 0;      // the epoch that made it the writer
  std::uint64_t lease_ms = 0;          // how long it may go on without hearing from a majority of the voters
  std::vector<OldWriter> old_writers;  // must be known to take no writes before it opens
  bool operator==(const Config&) const = default;

  const Member* find(const NodeId& id) const;
  Member* find(const NodeId& id);
  const Member* find(std::string_view name) const;
  Member* find(std::string_view name);
};

// Limits: a config that breaks one is refused by `parse_config` and `validate`.
inline constexpr std::size_t kMembersMax = 1024;
inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::size_t kTextBytesMax = 1024;
inline constexpr std::size_t kPositionBytesMax = 64 * 1024;

// The members with `in`, in home order. Each replicates from the one before it, the first from the last.
std::vector<NodeId> ring(const Config& config);

// The nearest `in` member before `id` in home order, `id` itself left out; none if nobody else is in.
// Defined for members that are out, too: a living node that is out follows the ring as a leaf.
std::optional<NodeId> upstream(const Config& config, const NodeId& id);

// The members that replicate from `id`: first its successor in the ring (if any), then out nodes and leaves.
std::vector<NodeId> downstream(const Config& config, const NodeId& id);

std::vector<NodeId> home_order(const Config& config);
std::string member_names(const Config& config);  // "db1, db2", in home order
// Puts the members into this order, which names each of them once.
void reorder(Config& config, const std::vector<NodeId>& order);

// True if going round `a` is going round `b`: a ring has no beginning.
bool same_circle(const std::vector<NodeId>& a, const std::vector<NodeId>& b);

// The members that need not move to bring the home order to wanted_order: a longest run of members that have the same order
// in both, going round.
std::vector<NodeId> well_placed(const Config& config);

// Brings one member to its place in wanted_order, behind the nearest one before it there that is well placed. Where that
// makes the order the wanted one, wanted_order becomes empty, and nobody is to be moved any more.
void move_to_place(Config& config, const NodeId& id);

// Ends a planned absence; who is out by then comes back as everybody does.
void end_absence(Member& member);

// One writer from now on, the first of the ring; whoever else is in must be known to be read_only before it opens.
void choose_first_writer(Config& config, std::uint64_t lease_ms);

// Takes a member out of the config for good.
void erase_member(Config& config, const NodeId& id);

// Every member, in the order in which it lies downstream of `id` (home order going round), `id` itself last.
std::vector<NodeId> downstream_order(const Config& config, const NodeId& id);

std::vector<NodeId> voters(const Config& config);
std::size_t majority(const Config& config);

// The odd voter rule (protocol.md section 1). `healthy` says whose *agent* answers; mysqld, `in` and settling do
// not matter. Sets `vote` in `config` and `lost_vote_epoch` where a vote is taken away (to config.epoch).
//  - healthy ring, spare and witness members vote;
//  - if they are two: the most recently lost voter stays one (where none was lost the first votes alone);
//  - if they are four or more and even: one is left out: who is out of the ring already first, else the last ring or
//    spare member in home order, never a witness;
//  - none healthy: the votes stay as they are.
void assign_votes(Config& config, const std::vector<NodeId>& healthy);

// What is wrong with this config, or nothing.
std::optional<Error> validate(const Config& config);

// Canonical bytes: a format byte, then every field in declared order, integers big-endian, strings with a 32-bit
// length. This is also the form in which a config travels and is stored. Of a ring in which all may write these are the
// bytes of format 3, as versions wrote it that knew nothing else; with one_writer format 4: the same, then writer, since,
// lease and old writers.
std::string canonical_bytes(const Config& config);
Result<Config> parse_config(std::string_view bytes);
bool of_newer_version(std::string_view bytes);  // in a format that this version does not know yet
Hash hash_bytes(std::string_view bytes);        // BLAKE2b-256
Hash hash(const Config& config);
std::string short_hex(const Hash& hash);  // the first 8 hex digits, for people

// A change as a person would say it: "db3 out; db4 votes", comparing `from` with `to`.
std::string describe_change(const Config& from, const Config& to);

}  // namespace ringagent
