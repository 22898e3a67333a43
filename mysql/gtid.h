#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"
#include "mysql/server.h"

// Sets of transactions: what a server has, lacks, or can no longer give.
//
// Purpose: every decision about data in RingAgent (may this source serve me? which transactions are stranded
// on the dead node? did this start of mysqld lose its tail?) is a question about such sets. MySQL and MariaDB
// write them differently; here they are one value, so that the deciding code has no flavour.
//
// Intuition: a transaction is named by its stream and its number within it. MySQL's stream is a server_uuid,
// with a tag or without; MariaDB's is a pair (domain, server_id). A set holds, per stream, the intervals of
// numbers in it.
//
//   MySQL     "3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5:7:nightly:1-3, ..."    gtid_executed, gtid_purged,
//   ... MariaDB   "1-1-100,2-2-50"        gtid_binlog_state: per (domain, server_id) the highest number. As
//   numbers only
//             grow per server and travel unchanged round the ring (mariadb.md 0), it stands for 1..100 of
//             stream 1-1. A difference of two such sets may begin above 1; it is written "1-1-51..100", which
//             parses, too.
//
// Caveats for MariaDB: numbers are given per domain, so where several servers write in one domain the
// intervals of one server have holes that nobody can see; count() is then an upper bound. gtid_slave_pos is
// not such a set (one entry per domain, of whichever server wrote last): ask covers_position().
//
// Limits: texts above kGtidTextBytesMax or with more than kGtidIntervalsMax intervals are refused.
// Sources: MySQL manual, "GTID Sets" and "Tagged GTIDs"; MariaDB manual, "gtid_binlog_state".
namespace ringagent {

inline constexpr std::size_t kGtidTextBytesMax = 1024 * 1024;
inline constexpr std::size_t kGtidIntervalsMax = 100'000;

class GtidSet {
 public:
  // Both ends belong to it; 1 <= first <= last <= kNumberMax.
  struct Interval {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    auto operator<=>(const Interval&) const = default;
  };
  // MySQL: the uuid in lower case, the tag or "". MariaDB: domain and server.
  struct Stream {
    std::string uuid;
    std::string tag;
    std::uint32_t domain = 0;
    std::uint32_t server = 0;
    auto operator<=>(const Stream&) const = default;
  };
  static constexpr std::uint64_t kNumberMax = (std::uint64_t{1} << 63) - 2;

  GtidSet() = default;  // the empty set, of either flavour

  // Accepts what the servers print (white space, line breaks, upper case, overlapping and unordered
  // intervals). Flavor::unknown parses only the empty text.
  static Result<GtidSet> parse(Flavor flavor, std::string_view text);

  // Canonical: equal sets have equal texts; parse(flavor, str()) gives the set back.
  std::string str() const;

  bool empty() const { return streams_.empty(); }
  bool contains(const GtidSet& other) const;
  GtidSet unite(const GtidSet& other) const;
  GtidSet subtract(const GtidSet& other) const;
  GtidSet intersect(const GtidSet& other) const;

  // How many transactions; saturates. MariaDB: an upper bound (see above).
  std::uint64_t count() const;

  // What one server originated. MySQL: its server_uuid (all tags); MariaDB: its server_id in decimal (all
  // domains).
  GtidSet restricted_to_origin(std::string_view origin) const;
  // The highest number that the origin has in this set; 0: none. MySQL: over all tags, MariaDB: over all
  // domains.
  std::uint64_t highest(std::string_view origin) const;

  // MariaDB only. The domains that occur here, ascending; and whether this binlog state has reached the given
  // gtid_slave_pos ("domain-server-number,..."): in each domain of it some server's number is as high.
  std::vector<std::uint32_t> domains() const;
  bool covers_position(const GtidSet& slave_pos) const;

  const std::map<Stream, std::vector<Interval>>& streams() const { return streams_; }
  bool operator==(const GtidSet&) const = default;

 private:
  // Invariant: no stream is without intervals; intervals are ascending, disjoint and not adjacent.
  std::map<Stream, std::vector<Interval>> streams_;
};

}  // namespace ringagent
