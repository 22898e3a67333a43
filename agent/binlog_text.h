#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "mysql/server.h"

// Reads what `mysqlbinlog` and `mariadb-binlog` print with `-v --base64-output=decode-rows` (or with the BINLOG statements
// left in), line by line: nothing is kept but what the open event needs, so a log of any size can be read.
//
// Intuition: the text is made for people, but its frame is fixed: events begin with `#yymmdd hh:mm:ss server id ...`, rows with
// `### INSERT INTO`, and statements end with a line `/*!*/;`. Line breaks in values are escaped by the tools; in statements
// they are not, so within a statement nothing but its end is looked for. What is not known is skipped.
//
// Pure. A statement is kept up to kStatementBytesMax.
namespace ringagent {

inline constexpr std::size_t kStatementBytesMax = 2000;

struct TableName {
  std::string schema;
  std::string table;
  auto operator<=>(const TableName&) const = default;  // NOLINT(modernize-use-nullptr): what the compiler writes
  std::string str() const { return schema + "." + table; }
};

enum class RowChange : std::uint8_t { inserted, updated, removed };
const char* to_string(RowChange change);

// Values as the tool prints them, by column number from 1. Columns that the server did not log are absent.
struct BinlogRow {
  TableName table;
  RowChange change = RowChange::inserted;
  std::map<unsigned, std::string> before;  // updated, removed
  std::map<unsigned, std::string> after;   // inserted, updated
};

struct BinlogTransaction {
  std::string gtid;  // MySQL "uuid:number" or "uuid:tag:number", MariaDB "domain-server-number"
  std::string time;  // "2026-11-26 05:55:29", in the time zone of the tool
  std::string file;  // where it begins, as far as the log tells; exact only if nothing before it was filtered away
  std::uint64_t position = 0;
};

class BinlogSink {
 public:
  virtual ~BinlogSink() = default;
  // What follows belongs to this transaction, until the next one.
  virtual void transaction(const BinlogTransaction& transaction) = 0;
  virtual void row(const BinlogRow& row) = 0;
  // DDL, or a change logged as a statement. BEGIN, COMMIT and their like are left out.
  virtual void statement(const std::string& schema, const std::string& text) = 0;
};

class BinlogText {
 public:
  BinlogText(Flavor flavor, BinlogSink& sink) : flavor_(flavor), sink_(sink) {}

  // One line without its end.
  void line(std::string_view line);
  // After the last one.
  void end() { end_row(); }

 private:
  void header(std::string_view line);
  void row_line(std::string_view line);
  void end_row();
  void query_line(std::string_view line);
  void statement_over();
  void begin(std::string gtid);

  const Flavor flavor_;
  BinlogSink& sink_;
  BinlogTransaction here_;
  std::string time_;            // of the newest event
  std::uint64_t event_at_ = 0;  // where the newest event begins, and ends
  std::uint64_t event_end_ = 0;
  bool in_query_ = false;      // session settings and a statement follow
  bool in_statement_ = false;  // ... its text
  std::string statement_;
  std::string schema_;
  bool in_row_ = false;
  bool in_after_ = false;
  BinlogRow row_;
};

// `a``b` at the front of `text`, unquoted; it is taken off the text. "" if there is none.
std::string take_quoted_name(std::string_view& text);

}  // namespace ringagent
