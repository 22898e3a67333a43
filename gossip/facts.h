#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "gossip/message.h"

// What every node says about itself, known to all: one versioned record per member. Pure.
//
// Intuition: each node owns one record and numbers its versions; everybody else keeps the newest version it
// has seen and passes it on unchanged (van Renesse et al.: "Efficient reconciliation and flow control for
// anti-entropy protocols", the scuttlebutt of Cassandra). A record can be old at a reader but never wrong,
// and it survives its owner: that is how survivors can say what a dead node had.
//
// Three ways for a record to travel, in order of haste:
//  1. Push: the owner sends an urgent change to up to kPushMax others directly, its neighbours in the ring first; that
//     is everybody, but for very large rings.
//  2. Hot records: who learns a new version NAMES it (a digest, not the record) to kFanout random members every
//     kSpreadPeriod, about log2(n) + 3 times in all; who lacks it asks for it. A name is 30 bytes, a record a
//     thousand, so repeating names is cheap. In a ring of up to four only the owner does: it reaches everybody.
//  3. Anti-entropy: each question carries a mark of all versions; a receiver whose own differs answers with
//     its digest, at most once per member in kExchangeGap. It repairs what the others lost, and fills newcomers.
// All three speak one language: a digest with want = true is answered by the newer records, one per message so
// that each fits a datagram where it can, and by a digest of what the answerer lacks.
//
// What changes all the time (positions, ages) is routine: a member publishes it once in kRoutinePeriod at most, and in a
// large ring less often, so that all members together publish kRoutinePerSecond versions a second, at random times. Each costs
// every member the same (a record, about log2(n) names), so what gossip costs a member does not grow with the ring.
// Urgent changes wait for nothing.
//
// A digest names at most kDigestMax members, so that it fits one datagram. With more members, half of it are
// the versions learnt last, and the rest goes round all members in turn. A member of which nothing is known is
// named with an empty Stamp.
//
// Invariants:
//  - only the owner changes a record; versions (boot, seq) only grow, and so does what a reader holds;
//  - nobody's word about my own record counts. A version of it that I did not make shows that two hold my id
//    (cloned machine, restored state directory): see `cloned`;
//  - records are kept of members only;
//  - equal checksums mean equal versions everywhere. Seven bits travel with each question, other ones each time: of tables
//    that differ one question in 128 does not see it, and the next one does (facts_mark).
//
// Units: Time and Duration are microseconds on the reader's own clock. Errors: none; what makes no sense is
// ignored.
namespace ringagent {

// What a question of this number shows of a checksum: 0 to 127, one byte on the wire.
std::uint8_t facts_mark(std::uint64_t checksum, std::uint64_t seq);

class FactTable {
 public:
  static constexpr std::size_t kDigestMax = 28;
  static constexpr std::size_t kFanout = 3;
  static constexpr Duration kSpreadPeriod = 200ms;
  static constexpr Duration kExchangeGap = 300ms;
  static constexpr std::size_t kPushMax = 32;
  static constexpr Duration kRoutinePeriod = 1s;
  static constexpr std::size_t kRoutinePerSecond = 16;

  FactTable(NodeId self, std::uint32_t boot, std::uint64_t seed);

  // The members of the head config; self may be among them. Records of others are forgotten. `neighbours` hear urgent
  // news first.
  void set_members(const std::vector<NodeId>& members, const std::vector<NodeId>& neighbours = {});

  // The own record as last published; version.seq == 0 before the first time.
  const NodeRecord& own() const { return own_; }

  // The own record says this from now on. Sets node and version itself. Returns whether anything changed; if
  // not, the version stays.
  bool publish(NodeRecord record, Time now);

  // What the own record would say now: published if something urgent has changed, or if something has and its routine
  // time has come; and sent to those who are told directly. Returns whether it was published.
  bool offer(NodeRecord record, Time now, std::vector<Outgoing>& out);
  Duration routine_period() const;

  // The own record, for somebody who asked for it. Empty before the first publish.
  Facts push() const;

  // A record that came along with something else (Hello). Returns whether it was newer than what was known.
  bool apply(const NodeRecord& record, Time now);

  // A Facts message. Returns the members whose record became newer. Answers, if any, are appended to `out`.
  std::vector<NodeId> on_facts(const NodeId& from, const Facts& facts, Time now, std::vector<Outgoing>& out);

  // The mark in question `seq`, a Ping or a Turn.
  void on_mark(const NodeId& from, std::uint64_t seq, std::uint8_t mark, Time now, std::vector<Outgoing>& out);

  // Names hot records to a few others. `next_due` is Time::max() while nothing is hot.
  void tick(Time now, std::vector<Outgoing>& out);
  Time next_due() const;

  // nullptr: nothing known, or no member. Self is found once published.
  const NodeRecord* find(const NodeId& id) const;
  // The newest record that tells of its server's position: an agent that starts while its server is down knows none, but
  // what it had been survives with the others (protocol.md section 3).
  const NodeRecord* last_position(const NodeId& id) const;
  // When the newest version was learnt, on this node's clock.
  std::optional<Time> received_at(const NodeId& id) const;

  std::uint64_t checksum() const { return checksum_; }
  // The next digest; with more than kDigestMax members each call goes on where the last one ended.
  std::vector<DigestEntry> digest();

  // A version of my own record that I did not make: somebody else lives under my id, or has.
  std::optional<Stamp> cloned() const { return cloned_; }

 private:
  struct Entry {
    std::unique_ptr<const NodeRecord> record;
    std::unique_ptr<const NodeRecord> last_position;  // an older record, if the newest knows nothing of its server
    Time received{};
    std::size_t to_name = 0;        // how often the version is still to be named to others; 0: not hot
    std::uint64_t learnt = 0;       // orders versions by when they were learnt; 0: none
    std::optional<Time> exchanged;  // when a digest last went to this member
  };

  Stamp version(const NodeId& id) const;
  void learnt(const NodeId& id, const Stamp& before, const Stamp& after, Time now);
  void saw_clone(const Stamp& version);
  void add_recent(std::vector<DigestEntry>& digest, const std::map<std::uint64_t, NodeId>& by_age,
                  std::size_t limit) const;
  std::size_t names(const NodeId& owner) const;
  void push_to(const std::vector<NodeId>& members, std::vector<Outgoing>& out) const;
  std::vector<NodeId> some_others(std::size_t count);

  NodeId self_;
  std::mt19937_64 random_;
  NodeRecord own_;
  NodeRecord offered_urgent_;                // the urgent part of what was last published
  std::optional<NodeRecord> known_routine_;  // offered since, and found to bring nothing urgent
  Time routine_due_{};
  std::vector<NodeId> neighbours_;
  std::map<NodeId, Entry> entries_;         // every member, self included
  std::map<std::uint64_t, NodeId> by_age_;  // Entry::learnt -> member
  std::map<std::uint64_t, NodeId> hot_;     // the same, those still to be named
  std::uint64_t learnt_count_ = 0;
  std::uint64_t checksum_ = 0;
  NodeId digest_after_;  // where the rotating half of the digest goes on
  Time spread_due_ = Time::max();
  std::optional<Stamp> cloned_;
};

}  // namespace ringagent
