#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/binlog_text.h"
#include "mysql/gtid.h"

// What is stranded on a node, and which of its rows the ring has changed since: what a person needs to know before it is
// replayed or given up.
//
// Intuition: a change of the ring conflicts with a stranded one if neither knew of the other. The node itself tells: what it
// applied AFTER a stranded transaction, its author had not seen then; and nobody else has the stranded one. So the node's own
// binary log is read from the first stranded transaction on, in its order, and then, at a member of the ring, whatever the node
// still lacks. No clock is asked.
//
// Two changes meet if they name the same value of a unique key, be it before or after the change. A table whose keys are not
// known, or that has none, is compared by whole rows: that finds changes that started from the same content, and no others.
// Foreign keys and triggers are not looked at, and strings are compared byte by byte, case aside where the collation says so.
//
// Pure: the log comes in as BinlogText tells it, the keys from `KeysOf`.
namespace ringagent {

struct TableKeys {
  struct Column {
    unsigned number = 0;  // from 1
    std::string name;
    bool ignores_case = false;
  };
  struct Key {
    std::string name;  // PRIMARY, or an index
    std::vector<Column> columns;
  };
  bool known = false;     // the table could be looked at
  std::vector<Key> keys;  // unique ones only, PRIMARY first
};
using KeysOf = std::function<TableKeys(const TableName&)>;

struct StrandedRow {
  TableName table;
  RowChange change = RowChange::inserted;
  std::string key;  // "id=4711"; a whole row: "@1=4711, @2='x'", shortened
};
struct StrandedStatement {
  std::string schema;
  std::string text;
};
struct StrandedTransaction {
  std::string gtid;
  std::string time;
  std::string file;  // where it stands in the node's binary log
  std::uint64_t position = 0;
  std::size_t row_count = 0;
  std::vector<StrandedRow> rows;  // the first kStrandedRowsKept of them
  std::vector<StrandedStatement> statements;
};
inline constexpr std::size_t kStrandedRowsKept = 1000;

// A stranded row that the ring has changed, too.
struct RowConflict {
  TableName table;
  std::string key_name;  // PRIMARY, another unique key, or "" for the whole row
  std::string key;
  std::string gtid;  // of the stranded transaction
  RowChange change = RowChange::inserted;
  std::string ring_gtid;  // the first of the ring's
  std::string ring_time;
  RowChange ring_change = RowChange::inserted;
};

struct StrandedReport {
  std::vector<StrandedTransaction> transactions;
  std::size_t expected = 0;  // by the ring's count, an upper bound on MariaDB
  std::vector<RowConflict> conflicts;
  std::vector<std::pair<std::string, StrandedStatement>> ring_statements;  // with GTID; the first kRingStatementsKept
  std::size_t ring_statement_count = 0;
  std::size_t ring_transactions = 0;      // that were compared
  std::vector<TableName> by_whole_row;    // touched tables without a key
  std::vector<TableName> keys_not_known;  // touched tables that the account may not look at
  std::string incomplete;                 // why not all of the ring's changes could be read; "" if they were

  std::size_t row_count() const;
  bool has_statements() const;
  // One line, the last word of `stranded show`; `safe` if nothing speaks against a replay.
  std::pair<bool, std::string> verdict() const;
};
inline constexpr std::size_t kRingStatementsKept = 20;

class StrandedReader : public BinlogSink {
 public:
  // `stranded`: the set of the node; `executed`: all that the node has.
  StrandedReader(GtidSet stranded, GtidSet executed, Flavor flavor, KeysOf keys);

  // The node's own log is read first, from its first stranded transaction or earlier; then a log of the ring.
  void now_the_ring() { of_node_ = false; }
  void transaction(const BinlogTransaction& transaction) override;
  void row(const BinlogRow& row) override;
  void statement(const std::string& schema, const std::string& text) override;

  StrandedReport& report() { return report_; }

 private:
  enum class Part : std::uint8_t { neither, stranded, ring };
  struct Touch {
    std::size_t transaction = 0;
    std::size_t row = 0;  // counted over all stranded rows
    RowChange change = RowChange::inserted;
  };
  // A value of one key, in a form that can be compared.
  struct KeyValue {
    std::string index;  // of touches_
    std::string key_name;
    std::string shown;
  };

  Part part_of(const std::string& gtid) const;
  const TableKeys& keys_of(const TableName& table);
  std::vector<KeyValue> values(const BinlogRow& row);
  void note(const BinlogRow& row);
  void compare(const BinlogRow& row);

  const GtidSet stranded_;
  const GtidSet executed_;
  const Flavor flavor_;
  const KeysOf lookup_;
  bool of_node_ = true;
  bool begun_ = false;  // the first stranded transaction has been seen
  Part part_ = Part::neither;
  BinlogTransaction open_;
  std::map<TableName, TableKeys> keys_;
  std::map<std::string, Touch> touches_;  // by table, key and value
  std::set<std::size_t> met_;             // rows that are in report_.conflicts
  std::size_t rows_ = 0;
  StrandedReport report_;
};

}  // namespace ringagent
