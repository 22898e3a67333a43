#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/ring.h"

// What agents say to each other. Plain values: `gossip/codec` makes bytes of them, `gossip/seal` wraps those.
//
// Rules for changing anything here: kinds and enumerators are append-only, fields are appended at the end of their
// struct; a reader ignores trailing fields that it does not know, so agents of two versions live side by side.
namespace ringagent {

// Orders everything that one process lifetime of an agent says: `boot` is counted up durably at each start.
struct Stamp {
  std::uint32_t boot = 0;
  std::uint64_t seq = 0;
  auto operator<=>(const Stamp&) const = default;  // NOLINT(modernize-use-nullptr): what the compiler writes
};

// Where a node's chain of configs stands.
struct Head {
  std::uint32_t generation = 0;
  std::uint64_t epoch = 0;
  Hash hash{};
  bool operator==(const Head&) const = default;
};

// The same in every packet, so that the lower side pulls what it lacks. Most packets are pings, so of the hash only the
// first four bytes travel: enough to tell that two chains have parted. Whoever acts on a head asks for it whole first
// (ConfirmHead, Prepare).
struct HeadMark {
  std::uint32_t generation = 0;
  std::uint64_t epoch = 0;
  std::uint32_t mark = 0;
  HeadMark() = default;
  HeadMark(const Head& head)  // NOLINT(google-explicit-constructor): a head shortened
      : generation(head.generation), epoch(head.epoch) {
    for (std::size_t i = 0; i < sizeof mark; ++i) mark = mark << 8U | head.hash[i];
  }
  bool operator==(const HeadMark&) const = default;
};

inline bool behind(const HeadMark& a, const HeadMark& b) {
  return a.generation != b.generation ? a.generation < b.generation : a.epoch < b.epoch;
}

// ---------------------------------------------------------------- facts

// Fields of a newer version, as they came: whoever hands a record on that it does not wholly understand hands on all of it.
struct LaterFields {
  std::size_t count = 0;
  std::string bytes;  // on the wire
  bool operator==(const LaterFields&) const = default;
};

enum class MysqlHealth : std::uint8_t {
  unknown = 0,
  up = 1,
  down = 2,
  hung = 3,
  denied = 4,
  none = 5
};  // none: a witness
const char* to_string(MysqlHealth health);

enum class EdgeState : std::uint8_t { unknown = 0, ok = 1, refused = 2, silent = 3 };
const char* to_string(EdgeState state);

// One replication link as its replica sees it.
struct LinkFact {
  NodeId source;  // nil: an address that belongs to no member
  Address address;
  std::uint8_t io = 0;  // mysql/server.h IoState: 0 stopped, 1 connecting, 2 running
  bool sql = false;
  std::uint32_t error_number = 0;  // of the IO thread, else of the SQL thread
  std::string error;
  std::string transaction;     // on which the SQL thread stands, where the server tells
  std::uint32_t heard_ms = 0;  // coarse: how long the source had given no sign of life when last looked at
  bool verified = false;       // since the last repoint an event or heartbeat has arrived
  bool operator==(const LinkFact&) const = default;
};

// A login at a member's MySQL as the replication account has shown within 10 s that it can be replicated from. Told only
// while somebody looks for a way around a bad edge.
struct EdgeFact {
  NodeId to;
  EdgeState state = EdgeState::unknown;
  bool operator==(const EdgeFact&) const = default;
};

// A finding of the preconditions or of `check`, for everybody's status.
struct ProblemFact {
  std::uint8_t severity = 0;  // 0 warning, 1 error
  std::string code;
  std::string text;
  bool operator==(const ProblemFact&) const = default;
};

// Where a node that is out stands on its way back, or one that is in on its planned way out.
enum class Phase : std::uint8_t {
  none = 0,
  checking = 1,
  following = 2,
  settling = 3,
  ready = 4,
  refused = 5,
  draining = 6,
  drained = 7,  // it takes no writes, and all that it wrote has reached the next one
  copying = 8,  // its data may be replaced: it takes no writes, follows nobody, and all agree on what it wrote
};
const char* to_string(Phase phase);

// The record that each node owns about itself; only its owner ever changes it.
struct NodeRecord {
  NodeId node;
  Stamp version;
  std::string name;
  std::string agent_version;
  bool leaving = false;  // the agent said good-bye (an orderly stop)
  Head head;
  std::uint64_t config_fingerprint = 0;  // of the settings that must be equal everywhere

  MysqlHealth health = MysqlHealth::unknown;
  std::string health_why;
  std::string unsafe;               // why this start of mysqld must not be in the ring (lost tail ...); "" if it may
  std::int64_t started_unix_s = 0;  // names this start of mysqld
  std::uint8_t flavor = 0;          // mysql/server.h Flavor
  std::string mysql_version;
  std::uint32_t server_id = 0;
  std::string server_uuid;
  std::uint32_t domain_id = 0;
  Address mysql;
  Address gossip;
  std::string executed;  // the position vector: MariaDB gtid_binlog_state, MySQL gtid_executed
  std::string purged;
  std::string binlog_file;
  std::uint64_t binlog_pos = 0;
  bool read_only = false;
  bool read_only_by_agent = false;
  std::vector<LinkFact> links;
  std::vector<EdgeFact> edges;
  std::vector<ProblemFact> problems;

  std::string blocked;            // why a wanted repoint is not done: "" if nothing is wanted or all goes well
  std::string foreign;            // an operator changed the link by hand: what was seen
  std::uint64_t acted_epoch = 0;  // the newest epoch that this node's link satisfies, verified
  Phase phase = Phase::none;
  std::uint64_t rejoin_in_ms = 0;
  std::string stuck;     // why its link starves all behind it, for link_grace now
  std::string received;  // what its relay log holds beyond `executed`; "" if nothing
  std::string
      starved;  // why nothing comes from its upstream, for link_grace now, though that one's agent says that it is up
  std::vector<std::string> keys;  // fingerprints of the gossip keys that it can read; the first is the one that it uses

  // [ring] writers = "one"; neither travels where both are at rest.
  bool one_writer = false;  // its settings ask for it
  // In this epoch, which names another writer, a look at its server that was begun when it was read_only already found it
  // so: `executed` is all that it has written.
  std::uint64_t closed_epoch = 0;

  LaterFields later;
  bool operator==(const NodeRecord&) const = default;
};

struct DigestEntry {
  NodeId node;
  Stamp version;
  bool operator==(const DigestEntry&) const = default;
};

// ---------------------------------------------------------------- liveness (SWIM with Lifeguard)

enum class Liveness : std::uint8_t { alive = 0, suspect = 1, dead = 2, left = 3 };
const char* to_string(Liveness liveness);

struct Incarnation {
  std::uint32_t boot = 0;
  std::uint32_t refutation = 0;
  auto operator<=>(const Incarnation&) const = default;  // NOLINT(modernize-use-nullptr): what the compiler writes
};

// Hearsay about a member. It may raise or end a suspicion; it never proves life.
struct Rumour {
  NodeId about;
  Liveness state = Liveness::alive;
  Incarnation incarnation;
  NodeId from;  // who says so first-hand: independent voices shorten a suspicion
  bool operator==(const Rumour&) const = default;
};

struct Ping {
  std::uint64_t seq = 0;
  std::uint8_t facts_mark = 0;  // of what the sender knows (gossip/facts.h); where it differs, a digest is the answer
  std::vector<Rumour> rumours;
  bool operator==(const Ping&) const = default;
};
struct Ack {
  std::uint64_t seq = 0;
  std::vector<Rumour> rumours;
  bool operator==(const Ack&) const = default;
};
// An answer to question `seq` that is itself question `seq + 1`: two neighbours who keep asking each other say all of it
// in one packet each way (gossip/swim.h).
struct Turn {
  std::uint64_t seq = 0;
  std::uint8_t held = 0;  // for how many kHeldUnits it was kept back; 0: it was not, and the answer to this may be
  std::uint8_t facts_mark = 0;  // as in a ping, of `seq`
  std::vector<Rumour> rumours;
  bool operator==(const Turn&) const = default;
};
inline constexpr Duration kHeldUnit{4000};
struct PingReq {  // "ping `target` for me"
  std::uint64_t seq = 0;
  NodeId target;
  std::vector<Rumour> rumours;
  bool operator==(const PingReq&) const = default;
};
struct PingReqAnswer {  // ok: the target answered me just now; not ok: I am alive but it did not (Lifeguard's nack)
  std::uint64_t seq = 0;
  NodeId target;
  bool ok = false;
  bool operator==(const PingReqAnswer&) const = default;
};
struct Facts {  // newer records, and what the sender would like to have
  std::vector<NodeRecord> records;
  std::vector<DigestEntry> digest;  // empty: nothing to compare
  bool want = false;                // answer with whatever is newer on your side
  bool operator==(const Facts&) const = default;
};
struct AskRecord {  // "your own record, made afresh now": answered by Facts
  std::uint64_t nonce = 0;
  bool operator==(const AskRecord&) const = default;
};

// ---------------------------------------------------------------- consensus

// A ballot is used with at most one value, ever.
struct Ballot {
  std::uint64_t round = 0;  // 0: none
  NodeId node;
  auto operator<=>(const Ballot&) const = default;  // NOLINT(modernize-use-nullptr): what the compiler writes
};

// Instance (generation, epoch, parent) decides the config `epoch + 1` whose parent hash is `parent`. Its acceptors are
// the voters of config `epoch`.
struct Instance {
  std::uint32_t generation = 0;
  std::uint64_t epoch = 0;
  Hash parent{};
  auto operator<=>(const Instance&) const = default;  // NOLINT(modernize-use-nullptr): what the compiler writes
};

// What a node brings into the ring at formation, taken from that ballot's promises.
struct Candidate {
  NodeId id;
  std::string name;
  Role role = Role::ring;
  Address gossip;
  Address mysql;
  std::uint32_t server_id = 0;
  std::string server_uuid;
  bool operator==(const Candidate&) const = default;
};

struct StoreVersion {  // (boot counter, store sequence): a restored snapshot shows by going back
  std::uint32_t boot = 0;
  std::uint64_t seq = 0;
  auto operator<=>(const StoreVersion&) const = default;
};

struct Prepare {
  Instance instance;
  Ballot ballot;
  StoreVersion store;  // of the proposer: one that has forgotten its ballots must not use them again
  bool operator==(const Prepare&) const = default;
};
struct Promise {
  Instance instance;
  Ballot ballot;
  NodeId acceptor;                     // a member id; at formation the id derived from the name
  Ballot accepted_ballot;              // round 0: nothing accepted
  std::string accepted_value;          // canonical bytes of a Config
  std::optional<Candidate> candidate;  // formation only
  StoreVersion store;
  bool operator==(const Promise&) const = default;
};
struct Accept {
  Instance instance;
  Ballot ballot;
  std::string value;
  StoreVersion store;
  bool operator==(const Accept&) const = default;
};
struct Accepted {
  Instance instance;
  Ballot ballot;
  NodeId acceptor;
  StoreVersion store;
  bool operator==(const Accepted&) const = default;
};
struct Reject {  // the acceptor has promised a higher ballot
  Instance instance;
  Ballot ballot;
  Ballot promised;
  bool operator==(const Reject&) const = default;
};
struct Decided {  // a piece of the chain, in order
  std::vector<std::string> configs;
  bool operator==(const Decided&) const = default;
};
struct Pull {  // "send me what follows this head"
  Head head;
  bool operator==(const Pull&) const = default;
};
struct ConfirmHead {  // "is this still the head you know?"
  std::uint64_t nonce = 0;
  Head head;
  bool operator==(const ConfirmHead&) const = default;
};
struct HeadConfirmed {
  std::uint64_t nonce = 0;
  Head head;  // the answerer's own head
  bool operator==(const HeadConfirmed&) const = default;
};

// ---------------------------------------------------------------- canvass

// The evidence classes of protocol.md section 4, and the other reasons for an epoch. Append only.
enum class Evidence : std::uint8_t {
  none = 0,
  mysqld_down = 1,
  unsafe = 2,
  mysqld_hung = 3,
  stuck = 4,
  refused = 5,
  silent = 6,
  headless = 7,
  link = 8,
  returned = 9,
  votes = 10,
  command = 11,
  formation = 12,
  replaced = 13,
  not_empty = 14,
  unfollowed = 15,  // its successor cannot be told to follow it: what it writes reaches nobody
  planned = 16,     // a step of what people have planned: absences, another order, spares
  address = 17,     // it has another address
  forced = 18,      // the quorum was forced
  joined = 19,      // a new member
  writer = 20,      // on how many nodes applications may write, or on which one
};
const char* to_string(Evidence evidence);

struct CanvassItem {  // "may X change for this reason?"
  NodeId node;
  Evidence evidence = Evidence::none;
  bool operator==(const CanvassItem&) const = default;
};
struct Canvass {
  std::uint64_t nonce = 0;
  Instance instance;
  std::vector<CanvassItem> items;
  bool operator==(const Canvass&) const = default;
};
enum class Opinion : std::uint8_t { concur = 0, object = 1, abstain = 2 };
struct CanvassAnswer {
  std::uint64_t nonce = 0;
  Opinion opinion = Opinion::abstain;
  std::string why;
  bool operator==(const CanvassAnswer&) const = default;
};

// ---------------------------------------------------------------- before the ring is formed

// Sent between agents that have no config yet, bound to the cluster's name only. A formed node answers it with
// Decided (its head) if the sender is a member, else with nothing.
struct Hello {
  Candidate candidate;
  std::vector<std::string> initial;  // the sender's [ring] initial
  NodeRecord record;                 // what its server looks like
  bool answer = false;               // please say Hello back
  bool join = false;                 // the sender wants to become a member of a ring that exists
  std::string after;                 // behind which member; "": the last one
  bool operator==(const Hello&) const = default;
};

// ---------------------------------------------------------------- gossip keys

struct KeyEntry {
  std::string id;             // the key's fingerprint
  std::uint64_t version = 0;  // of two entries about one key the higher counts; between equals, that it is removed
  bool removed = false;
  std::string bytes;  // the key itself; "" where it is removed
  bool operator==(const KeyEntry&) const = default;
};
// What `ringagent key` has made of the keys, for who does not show it yet (gossip/key_book.h).
struct KeyBook {
  std::vector<KeyEntry> entries;  // by id, each once
  std::string in_use;             // "": nobody has said so
  std::uint64_t in_use_version = 0;
  bool operator==(const KeyBook&) const = default;
};

// ---------------------------------------------------------------- the lease of the one writer (agent/lease.h)

struct LeaseAsk {  // the writer of this head to the voters: "may I go on?"
  Instance instance;
  std::uint64_t seq = 0;
  bool operator==(const LeaseAsk&) const = default;
};
struct LeaseGrant {  // `granted`: it is my head, too, and I have given no vote in what follows it
  Instance instance;
  std::uint64_t seq = 0;
  bool granted = false;
  bool operator==(const LeaseGrant&) const = default;
};

using Body = std::variant<Ping, Ack, PingReq, PingReqAnswer, Facts, AskRecord, Prepare, Promise, Accept, Accepted,
                          Reject, Decided, Pull, ConfirmHead, HeadConfirmed, Canvass, CanvassAnswer, Hello, KeyBook,
                          LeaseAsk, LeaseGrant, Turn>;

// Does it ask whether its receiver lives?
inline bool asks(const Body& body) {
  return std::holds_alternative<Ping>(body) || std::holds_alternative<Turn>(body);
}

// The message kinds on the wire are the indices of Body: append only.
struct Message {
  HeadMark head;  // of the sender
  Body body;
  bool operator==(const Message&) const = default;
};

// Where a pure machine wants a message to go. An address stands for somebody whose id is not known yet.
struct Outgoing {
  NodeId to;        // nil: use the address
  Address address;  // empty: the address known for `to`
  Message message;
  bool by_name = false;  // bound to the cluster's name only: for those who have no config yet
  bool brief = false;    // its receiver has opened a packet of this life of mine: the short envelope will do
  bool operator==(const Outgoing&) const = default;
};

// Limits of the wire, checked by the codec in both directions.
inline constexpr std::size_t kDatagramBytesMax = 1200;  // larger messages travel over TCP
inline constexpr std::size_t kMessageBytesMax = 4 * 1024 * 1024;
inline constexpr std::size_t kRumoursMax = 8;  // per packet
inline constexpr std::size_t kRecordsMax = 1024;
inline constexpr std::size_t kLinksMax = 16;
inline constexpr std::size_t kProblemsMax = 32;
inline constexpr std::size_t kKeyNamesMax = 8;     // as many as a key ring holds (gossip/seal.h)
inline constexpr std::size_t kKeyEntriesMax = 32;  // those that were removed included
inline constexpr std::size_t kChainPartMax = 256;

}  // namespace ringagent
