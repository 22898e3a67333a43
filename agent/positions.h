#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gossip/message.h"
#include "mysql/server.h"

// Questions about position vectors that decisions need, asked of the records that agents gossip. A record whose vector
// is empty or cannot be read counts as one that has nothing. Pure.
namespace ringagent {

// True if `a` has everything that `b` has and more; if they are incomparable, true if `a` counts more transactions.
bool ahead_of(const NodeRecord* a, const NodeRecord* b);

// True if `have` (a vector of this flavour) contains all of `need`.
bool contains_all(std::uint8_t flavor, const std::string& have, const std::string& need);

// Transactions that `record`'s server originated and that none of `others` has: an upper bound on MariaDB.
std::int64_t own_missing_elsewhere(const NodeRecord& record, const std::vector<const NodeRecord*>& others);

// The same as a text: MySQL "uuid:107-121", MariaDB "3-3-107..121" (domain, server, numbers); "" if there is none.
std::string own_missing_set(const NodeRecord& record, const std::vector<const NodeRecord*>& others);

// Transactions of other origins that `record`'s server has and none of `others` has.
std::int64_t foreign_missing_elsewhere(const NodeRecord& record, const std::vector<const NodeRecord*>& others);

// Transactions that originated at `owner` (its server_id or server_uuid), stand in some of `others`, be it in a relay log
// whose applier waits, and are missing in `have`. Not zero after a start of `owner`'s mysqld: it has lost its tail (hazard H5).
std::int64_t own_lost(const NodeRecord& owner, const std::string& have, const std::vector<const NodeRecord*>& others);

// What `record`'s server has purged from its binary log and none of `others` has, as text for people; "" if nothing: it can be got
// from nowhere any more.
std::string purged_of_all(const NodeRecord& record, const std::vector<const NodeRecord*>& others);

// What of `vector` a server with `position` lacks, as text for people; "" if nothing.
std::string missing_text(std::uint8_t flavor, const std::string& position, const std::string& vector);

}  // namespace ringagent
