#include "agent/positions.h"

#include <algorithm>

#include "mysql/gtid.h"

namespace ringagent {
namespace {

GtidSet read(std::uint8_t flavor, const std::string& text) {
  auto set = GtidSet::parse(static_cast<Flavor>(flavor), text);
  return set ? std::move(*set) : GtidSet{};
}

// How transactions that originated at this server are named in a vector.
std::string origin_of(const NodeRecord& record) {
  return static_cast<Flavor>(record.flavor) == Flavor::mysql ? record.server_uuid : std::to_string(record.server_id);
}

GtidSet union_of(std::uint8_t flavor, const std::vector<const NodeRecord*>& records) {
  GtidSet all;
  for (const NodeRecord* record : records) {
    if (record->flavor == flavor) all = all.unite(read(flavor, record->executed));
  }
  return all;
}

// Or will have, when its applier is through.
GtidSet known_to(std::uint8_t flavor, const std::vector<const NodeRecord*>& records) {
  GtidSet all = union_of(flavor, records);
  for (const NodeRecord* record : records) {
    if (record->flavor == flavor && !record->received.empty()) all = all.unite(read(flavor, record->received));
  }
  return all;
}

GtidSet own_missing(const NodeRecord& record, const std::vector<const NodeRecord*>& others) {
  const GtidSet own = read(record.flavor, record.executed).restricted_to_origin(origin_of(record));
  return own.subtract(union_of(record.flavor, others));
}

}  // namespace

bool ahead_of(const NodeRecord* a, const NodeRecord* b) {
  if (a == nullptr || b == nullptr) return a != nullptr;
  const GtidSet have_a = read(a->flavor, a->executed);
  const GtidSet have_b = read(b->flavor, b->executed);
  if (have_a.contains(have_b)) return have_a != have_b;
  if (have_b.contains(have_a)) return false;
  return have_a.subtract(have_b).count() > have_b.subtract(have_a).count();
}

bool contains_all(std::uint8_t flavor, const std::string& have, const std::string& need) {
  return have == need || read(flavor, have).contains(read(flavor, need));  // mostly they are the same
}

std::int64_t own_missing_elsewhere(const NodeRecord& record, const std::vector<const NodeRecord*>& others) {
  return static_cast<std::int64_t>(own_missing(record, others).count());
}

std::string own_missing_set(const NodeRecord& record, const std::vector<const NodeRecord*>& others) {
  return own_missing(record, others).str();
}

std::int64_t foreign_missing_elsewhere(const NodeRecord& record, const std::vector<const NodeRecord*>& others) {
  const GtidSet missing = read(record.flavor, record.executed).subtract(union_of(record.flavor, others));
  return static_cast<std::int64_t>(missing.count() - missing.restricted_to_origin(origin_of(record)).count());
}

std::int64_t own_lost(const NodeRecord& owner, const std::string& have, const std::vector<const NodeRecord*>& others) {
  const GtidSet known = known_to(owner.flavor, others).restricted_to_origin(origin_of(owner));
  return static_cast<std::int64_t>(known.subtract(read(owner.flavor, have)).count());
}

std::string purged_of_all(const NodeRecord& record, const std::vector<const NodeRecord*>& others) {
  return read(record.flavor, record.purged).subtract(known_to(record.flavor, others)).str();
}

std::string missing_text(std::uint8_t flavor, const std::string& position, const std::string& vector) {
  return read(flavor, vector).subtract(read(flavor, position)).str();
}

}  // namespace ringagent
