#include "gossip/facts.h"

#include <algorithm>
#include <bit>

namespace ringagent {

namespace {

std::uint64_t mix(std::uint64_t x) {  // the finalizer of splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::uint64_t big_endian(const NodeId& id, std::size_t from) {
  std::uint64_t value = 0;
  for (std::size_t i = from; i < from + 8; ++i) value = value << 8 | id.bytes[i];
  return value;
}

// The share of one version in the checksum; the shares are added up, so their order does not matter.
std::uint64_t share(const NodeId& id, const Stamp& version) {
  if (version == Stamp{}) return 0;
  std::uint64_t hash = 0x9e3779b97f4a7c15ULL;
  for (const std::uint64_t word : {big_endian(id, 0), big_endian(id, 8), std::uint64_t{version.boot}, version.seq})
    hash = mix(hash + word);
  return hash;
}

// What everybody should know at once if it changes; positions and ages may wait.
NodeRecord urgent_part(NodeRecord record) {
  record.version = {};
  record.executed.clear();
  record.received.clear();
  record.purged.clear();
  record.binlog_file.clear();
  record.binlog_pos = 0;
  record.rejoin_in_ms = 0;
  for (LinkFact& link : record.links) link.heard_ms = link.heard_ms == 0 ? 0 : 1;
  return record;
}

// What comes back as it was said even where an older version has handed it on (gossip/codec_fields.h).
NodeRecord lasting_part(NodeRecord record) {
  record.health = MysqlHealth::unknown;
  record.phase = Phase::none;
  for (EdgeFact& edge : record.edges) edge.state = EdgeState::unknown;
  return record;
}

void send(const NodeId& to, Facts facts, std::vector<Outgoing>& out) {
  out.push_back(Outgoing{to, Address{}, Message{Head{}, std::move(facts)}});
}

}  // namespace

std::uint8_t facts_mark(std::uint64_t checksum, std::uint64_t seq) {
  return mix(checksum + mix(seq)) & 0x7FU;
}

FactTable::FactTable(NodeId self, std::uint32_t boot, std::uint64_t seed) : self_(self), random_(seed) {
  own_.node = self;
  own_.version = Stamp{boot, 0};
  entries_[self_];
}

void FactTable::set_members(const std::vector<NodeId>& members, const std::vector<NodeId>& neighbours) {
  std::map<NodeId, Entry> kept;
  kept[self_] = std::move(entries_[self_]);
  for (const NodeId& id : members) {
    if (kept.contains(id)) continue;
    const auto known = entries_.find(id);
    Entry& entry = kept[id];
    if (known != entries_.end()) entry = std::move(known->second);
  }
  entries_ = std::move(kept);
  neighbours_.clear();
  for (const NodeId& id : neighbours)
    if (id != self_ && entries_.contains(id)) neighbours_.push_back(id);
  const auto forgotten = [this](const auto& item) { return !entries_.contains(item.second); };
  std::erase_if(by_age_, forgotten);
  std::erase_if(hot_, forgotten);
  if (hot_.empty()) spread_due_ = Time::max();
  checksum_ = 0;
  for (const auto& [id, entry] : entries_) checksum_ += share(id, version(id));
}

// ---------------------------------------------------------------- records

const NodeRecord* FactTable::last_position(const NodeId& id) const {
  const NodeRecord* newest = find(id);
  if (newest == nullptr || newest->server_id != 0) return newest;
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.last_position.get();
}

const NodeRecord* FactTable::find(const NodeId& id) const {
  if (id == self_) return own_.version.seq == 0 ? nullptr : &own_;
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.record.get();
}

Stamp FactTable::version(const NodeId& id) const {
  const NodeRecord* record = find(id);
  return record ? record->version : Stamp{};
}

std::optional<Time> FactTable::received_at(const NodeId& id) const {
  if (!find(id)) return std::nullopt;
  return entries_.at(id).received;
}

bool FactTable::publish(NodeRecord record, Time now) {
  record.node = self_;
  record.version = own_.version;
  if (own_.version.seq != 0 && record == own_) return false;
  const Stamp before = version(self_);
  ++record.version.seq;
  own_ = std::move(record);
  learnt(self_, before, own_.version, now);
  return true;
}

// With few members each has its period to itself; more of them share a budget.
Duration FactTable::routine_period() const {
  return std::max(kRoutinePeriod, kRoutinePeriod * static_cast<Duration::rep>(entries_.size()) /
                                      static_cast<Duration::rep>(kRoutinePerSecond));
}

bool FactTable::offer(NodeRecord record, Time now, std::vector<Outgoing>& out) {
  if (now < routine_due_ && known_routine_ && record == *known_routine_) return false;
  NodeRecord urgent_now = urgent_part(record);
  urgent_now.node = self_;
  const bool urgent = urgent_now != offered_urgent_;
  if (!urgent && now < routine_due_) {
    known_routine_ = std::move(record);
    return false;
  }
  known_routine_.reset();
  const bool changed = publish(std::move(record), now);
  offered_urgent_ = std::move(urgent_now);
  routine_due_ = now + routine_period();
  if (routine_period() > kRoutinePeriod)  // one write reaches all of them at once: they are not to tell it in chorus
    routine_due_ +=
        Duration(static_cast<Duration::rep>(random_() % static_cast<std::uint64_t>(routine_period().count()))) -
        routine_period() / 2;
  if (!changed) return false;
  if (entries_.size() - 1 <= kPushMax)
    push_to(some_others(kPushMax), out);
  else if (urgent) {
    push_to(neighbours_, out);
    push_to(some_others(kPushMax - std::min(kPushMax, neighbours_.size())), out);
  }
  return true;
}

void FactTable::push_to(const std::vector<NodeId>& members, std::vector<Outgoing>& out) const {
  for (const NodeId& id : members) send(id, push(), out);
}

// At random, none twice.
std::vector<NodeId> FactTable::some_others(std::size_t count) {
  std::vector<NodeId> others;
  for (const auto& [id, entry] : entries_)
    if (id != self_) others.push_back(id);
  count = std::min(count, others.size());
  for (std::size_t i = 0; i < count && count < others.size(); ++i)
    std::swap(others[i], others[i + random_() % (others.size() - i)]);
  others.resize(count);
  return others;
}

Facts FactTable::push() const {
  Facts facts;
  if (own_.version.seq != 0) facts.records.push_back(own_);
  return facts;
}

bool FactTable::apply(const NodeRecord& record, Time now) {
  if (record.node == self_) {
    // Older versions of this or an earlier life are no news.
    if (record.version == own_.version && lasting_part(record) != lasting_part(own_)) saw_clone(record.version);
    if (record.version > own_.version) saw_clone(record.version);
    return false;
  }
  const auto found = entries_.find(record.node);
  if (found == entries_.end()) return false;
  const Stamp before = version(record.node);
  if (record.version <= before) return false;
  Entry& entry = found->second;
  if (record.server_id == 0 && entry.record && entry.record->server_id != 0)
    entry.last_position = std::move(entry.record);
  if (record.server_id != 0) entry.last_position.reset();
  entry.record = std::make_unique<const NodeRecord>(record);
  learnt(record.node, before, record.version, now);
  return true;
}

void FactTable::saw_clone(const Stamp& version) {
  cloned_ = std::max(cloned_.value_or(Stamp{}), version);
}

void FactTable::learnt(const NodeId& id, const Stamp& before, const Stamp& after, Time now) {
  Entry& entry = entries_.at(id);
  by_age_.erase(entry.learnt);
  hot_.erase(entry.learnt);
  entry.learnt = ++learnt_count_;
  entry.received = now;
  entry.to_name = names(id);
  by_age_[entry.learnt] = id;
  if (entry.to_name != 0) hot_[entry.learnt] = id;
  checksum_ += share(id, after) - share(id, before);
  if (spread_due_ == Time::max() && !hot_.empty())
    spread_due_ =
        now + Duration(static_cast<Duration::rep>(random_() % static_cast<std::uint64_t>(kSpreadPeriod.count())));
}

// How often a holder names a version: enough for an epidemic to reach all, never more than there are others.
// Where the owner names it to everybody itself, the others need not.
std::size_t FactTable::names(const NodeId& owner) const {
  const std::size_t others = entries_.size() - 1;
  if (others <= kFanout) return owner == self_ ? others : 0;
  return std::min(others, static_cast<std::size_t>(std::bit_width(others)) + 3);
}

// ---------------------------------------------------------------- digests

// What was learnt last: up to `limit` members, newest first.
void FactTable::add_recent(std::vector<DigestEntry>& digest, const std::map<std::uint64_t, NodeId>& by_age,
                           std::size_t limit) const {
  for (auto entry = by_age.rbegin(); entry != by_age.rend() && digest.size() < limit; ++entry)
    digest.push_back(DigestEntry{entry->second, version(entry->second)});
}

std::vector<DigestEntry> FactTable::digest() {
  std::vector<DigestEntry> digest;
  if (entries_.size() > kDigestMax) add_recent(digest, by_age_, kDigestMax / 2);
  const std::size_t recent = digest.size();
  auto next = entries_.upper_bound(digest_after_);
  for (std::size_t seen = 0; seen < entries_.size() && digest.size() < kDigestMax; ++seen, ++next) {
    if (next == entries_.end()) next = entries_.begin();
    digest_after_ = next->first;
    const auto end = digest.begin() + static_cast<std::ptrdiff_t>(recent);
    if (std::none_of(digest.begin(), end, [&](const DigestEntry& entry) { return entry.node == next->first; }))
      digest.push_back(DigestEntry{next->first, version(next->first)});
  }
  return digest;
}

// ---------------------------------------------------------------- exchange

void FactTable::on_mark(const NodeId& from, std::uint64_t seq, std::uint8_t mark, Time now,
                        std::vector<Outgoing>& out) {
  const auto found = entries_.find(from);
  if (mark == facts_mark(checksum_, seq) || found == entries_.end() || from == self_) return;
  std::optional<Time>& exchanged = found->second.exchanged;
  if (exchanged && now < *exchanged + kExchangeGap) return;
  exchanged = now;
  send(from, Facts{{}, digest(), true}, out);
}

std::vector<NodeId> FactTable::on_facts(const NodeId& from, const Facts& facts, Time now, std::vector<Outgoing>& out) {
  std::vector<NodeId> newer;
  for (const NodeRecord& record : facts.records)
    if (apply(record, now)) newer.push_back(record.node);
  if (!facts.want || !entries_.contains(from)) return newer;
  Facts lacked;
  for (const DigestEntry& theirs : facts.digest) {
    if (!entries_.contains(theirs.node)) continue;
    if (theirs.node == self_ && theirs.version > own_.version) saw_clone(theirs.version);
    const Stamp mine = version(theirs.node);
    if (mine > theirs.version) send(from, Facts{{*find(theirs.node)}, {}, false}, out);
    if (mine < theirs.version && theirs.node != self_) lacked.digest.push_back(DigestEntry{theirs.node, mine});
    if (lacked.digest.size() == kDigestMax) break;
  }
  lacked.want = true;
  if (!lacked.digest.empty()) send(from, std::move(lacked), out);
  return newer;
}

void FactTable::tick(Time now, std::vector<Outgoing>& out) {
  if (now < spread_due_) return;
  Facts facts{{}, {}, true};
  add_recent(facts.digest, hot_, kDigestMax);
  const std::vector<NodeId> listeners = some_others(kFanout);
  for (const NodeId& id : listeners) send(id, facts, out);
  for (const DigestEntry& named : facts.digest) {
    Entry& entry = entries_.at(named.node);
    entry.to_name -= std::min(entry.to_name, listeners.size());
    if (entry.to_name == 0) hot_.erase(entry.learnt);
  }
  spread_due_ = hot_.empty() ? Time::max() : now + kSpreadPeriod;
}

Time FactTable::next_due() const {
  return spread_due_;
}

}  // namespace ringagent
