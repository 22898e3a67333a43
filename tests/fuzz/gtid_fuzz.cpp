#include <algorithm>
#include <functional>
#include <limits>
#include <tuple>
#include <vector>

#include "fuzz.h"
#include "mysql/gtid.h"

// Two sets of transactions, as a server prints them, with "|" between them; read as MySQL's and as MariaDB's.
//
// Whether union, difference and the like are right is asked number by number. They can only change their mind at the
// end of an interval, so it is enough to ask there and one to each side: the answer is exact for sets of any size.
using namespace ringagent;
using fuzz::demand;

namespace {

using Stream = GtidSet::Stream;

bool has(const GtidSet& set, const Stream& stream, std::uint64_t number) {
  const auto at = set.streams().find(stream);
  if (at == set.streams().end()) return false;
  const auto next = std::partition_point(at->second.begin(), at->second.end(),
                                         [&](const GtidSet::Interval& i) { return i.last < number; });
  return next != at->second.end() && next->first <= number;
}

// What the header promises of every set.
void demand_normal(const GtidSet& set) {
  for (const auto& [stream, list] : set.streams()) {
    demand(!list.empty(), "no stream without intervals");
    demand(list.front().first >= 1 && list.back().last <= GtidSet::kNumberMax, "numbers have limits");
    for (std::size_t i = 0; i < list.size(); ++i) {
      demand(list[i].first <= list[i].last, "an interval is not empty");
      demand(i == 0 || list[i].first > list[i - 1].last + 1, "intervals ascend and are not adjacent");
    }
  }
}

void demand_pointwise(const GtidSet& a, const GtidSet& b) {
  const GtidSet sum = a.unite(b);
  const GtidSet rest = a.subtract(b);
  const GtidSet common = a.intersect(b);
  for (const GtidSet* set : {&a, &b, &sum, &rest, &common}) {
    demand_normal(*set);
    for (const auto& [stream, list] : set->streams())
      for (const auto& i : list)
        for (const std::uint64_t n : {i.first - 1, i.first, i.last, i.last + 1}) {
          const bool in_a = has(a, stream, n);
          const bool in_b = has(b, stream, n);
          demand(has(sum, stream, n) == (in_a || in_b), "a union has what one of the two has");
          demand(has(rest, stream, n) == (in_a && !in_b), "a difference has what only the first has");
          demand(has(common, stream, n) == (in_a && in_b), "an intersection has what both have");
        }
  }
}

void demand_algebra(const GtidSet& a, const GtidSet& b) {
  const GtidSet sum = a.unite(b);
  demand(sum == b.unite(a) && a.unite(a) == a, "order and repetition do not matter");
  demand(a.contains(a) && a.subtract(a).empty(), "a set contains itself");
  demand(sum.contains(a) && sum.contains(b), "a union contains both");
  demand(a.contains(b) == b.subtract(a).empty(), "what contains another lacks nothing of it");
  demand((a.contains(b) && b.contains(a)) == (a == b), "two that contain each other are equal");
  demand((a.str() == b.str()) == (a == b), "equal sets have equal texts");
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (sum.count() != most)
    demand(a.subtract(b).count() + a.intersect(b).count() == a.count(), "nothing is counted twice or left out");
}

// What the deciding code asks besides.
void demand_origins(const GtidSet& a, const GtidSet& b) {
  for (const auto& [stream, list] : a.streams()) {
    const std::string origin = stream.uuid.empty() ? std::to_string(stream.server) : stream.uuid;
    const GtidSet own = a.restricted_to_origin(origin);
    demand(a.contains(own), "what one server wrote is a part");
    demand(has(own, stream, list.back().last), "of which nothing is left out");
    demand(a.highest(origin) >= list.back().last && own.highest(origin) == a.highest(origin), "up to its highest");
  }
  const auto domains = a.domains();
  demand(std::adjacent_find(domains.begin(), domains.end(), std::greater_equal<>()) == domains.end(), "each once");
  demand(a.covers_position(a) && a.unite(b).covers_position(b), "what was reached is covered");
}

void print_and_parse(Flavor flavor, const GtidSet& set) {
  const auto again = GtidSet::parse(flavor, set.str());
  demand(again.has_value() && *again == set, "what is printed is read as the same");
}

void try_flavor(Flavor flavor, std::string_view first, std::string_view second) {
  std::vector<GtidSet> sets;
  for (const std::string_view text : {first, second}) {
    const auto set = GtidSet::parse(flavor, text);
    if (!set) return fuzz::demand_reason(set.error());
    sets.push_back(*set);
  }
  const auto& [a, b] = std::tie(sets[0], sets[1]);
  for (const GtidSet& set : {a, b, a.unite(b), a.subtract(b), a.intersect(b)}) print_and_parse(flavor, set);
  demand_pointwise(a, b);
  demand_algebra(a, b);
  demand_origins(a, b);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::Input(data, size).rest();
  const std::size_t bar = std::min(text.find('|'), text.size());
  const std::string_view second = bar == text.size() ? std::string_view{} : text.substr(bar + 1);
  try_flavor(Flavor::mysql, text.substr(0, bar), second);
  try_flavor(Flavor::mariadb, text.substr(0, bar), second);
  return 0;
}
