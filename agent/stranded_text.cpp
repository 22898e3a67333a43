#include "agent/stranded_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/text.h"

namespace ringagent {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kTransactionsShown = 50;
constexpr std::size_t kRowsShown = 20;
constexpr std::size_t kConflictsShown = 100;
constexpr std::size_t kStatementColumns = 160;

std::string counted(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string and_more(std::size_t all, std::size_t shown, const std::string& indent) {
  if (all <= shown) return {};
  const std::string where = all <= kStrandedRowsKept ? "them" : "the first " + std::to_string(kStrandedRowsKept);
  return indent + "... and " + std::to_string(all - shown) + " more (--json has " + where + ")\n";
}

std::string statement_line(const StrandedStatement& statement) {
  const std::string schema = statement.schema.empty() ? "" : "[" + printable(statement.schema) + "] ";
  return schema + cut(printable(statement.text), kStatementColumns);
}

std::string row_line(const StrandedRow& row) {
  return std::string(to_string(row.change)) + " " + printable(row.table.str()) + " " + row.key;
}

std::string transaction_text(const StrandedTransaction& t) {
  std::string what = t.row_count > 0 || t.statements.empty() ? counted(t.row_count, "row") : "";
  if (!t.statements.empty()) what += (what.empty() ? "" : ", ") + counted(t.statements.size(), "statement");
  std::string out = t.gtid + "  " + t.time + " UTC  " + what + "\n";
  for (std::size_t i = 0; i < std::min(t.rows.size(), kRowsShown); ++i) out += "    " + row_line(t.rows[i]) + "\n";
  out += and_more(t.row_count, kRowsShown, "    ");
  for (const StrandedStatement& s : t.statements) out += "    " + statement_line(s) + "\n";
  return out;
}

std::string conflict_text(const std::string& node, const RowConflict& c) {
  const std::string by_key = c.key_name.empty() || c.key_name == "PRIMARY" ? "" : " (unique key " + c.key_name + ")";
  return "    " + printable(c.table.str()) + " " + c.key + printable(by_key) + ": " + to_string(c.change) + " on " +
         node + " in " + c.gtid + ", " + to_string(c.ring_change) + " by the ring in " + c.ring_gtid + " (" +
         c.ring_time + " UTC)\n";
}

std::string names(const std::vector<TableName>& tables) {
  std::string out;
  for (const TableName& table : tables) out += (out.empty() ? "" : ", ") + printable(table.str());
  return out;
}

Json names_json(const std::vector<TableName>& tables) {
  Json out = Json::array();
  for (const TableName& table : tables) out.push_back(table.str());
  return out;
}

Json statement_json(const StrandedStatement& s) {
  return {{"schema", s.schema}, {"statement", s.text}};
}

Json transaction_json(const StrandedTransaction& t) {
  Json rows = Json::array();
  for (const StrandedRow& row : t.rows) {
    rows.push_back({{"table", row.table.str()}, {"change", to_string(row.change)}, {"key", row.key}});
  }
  Json statements = Json::array();
  for (const StrandedStatement& s : t.statements) statements.push_back(statement_json(s));
  return {{"gtid", t.gtid},
          {"time", t.time},
          {"file", t.file},
          {"position", t.position},
          {"row_count", t.row_count},
          {"rows", std::move(rows)},
          {"statements", std::move(statements)}};
}

Json conflict_json(const RowConflict& c) {
  return {{"table", c.table.str()},
          {"key_name", c.key_name},
          {"key", c.key},
          {"gtid", c.gtid},
          {"change", to_string(c.change)},
          {"ring_gtid", c.ring_gtid},
          {"ring_time", c.ring_time},
          {"ring_change", to_string(c.ring_change)}};
}

}  // namespace

std::string stranded_text(const StrandedAbout& about, const StrandedReport& report) {
  std::string out = about.node + " (" + about.address + ") has " + counted(report.expected, "transaction") +
                    " that no other member has: " + about.set + "\n";
  for (std::size_t i = 0; i < std::min(report.transactions.size(), kTransactionsShown); ++i)
    out += "\n" + transaction_text(report.transactions[i]);
  if (report.transactions.size() > kTransactionsShown)
    out += "\n... and " + counted(report.transactions.size() - kTransactionsShown, "more transaction") + " (--json)\n";
  out += "\nThe ring since: " + counted(report.ring_transactions, "transaction") + " that " + about.node +
         " did not know when it wrote these\n";
  for (std::size_t i = 0; i < std::min(report.conflicts.size(), kConflictsShown); ++i)
    out += conflict_text(about.node, report.conflicts[i]);
  if (report.conflicts.size() > kConflictsShown)
    out += "    ... and " + counted(report.conflicts.size() - kConflictsShown, "more row") + " (--json)\n";
  for (const auto& [gtid, statement] : report.ring_statements)
    out += "    " + gtid + " " + statement_line(statement) + "\n";
  if (report.ring_statement_count > report.ring_statements.size())
    out +=
        "    ... and " + counted(report.ring_statement_count - report.ring_statements.size(), "more statement") + "\n";
  if (!report.by_whole_row.empty())
    out += "Without a unique key, so compared by whole rows: " + names(report.by_whole_row) + "\n";
  if (!report.keys_not_known.empty()) {
    out += "Compared by whole rows, as " + about.replication_user +
           " sees no such table there (dropped since, or GRANT " +
           "REFERENCES ON *.* is missing): " + names(report.keys_not_known) + "\n";
  }
  return out + "\n" + report.verdict().second + "\n";
}

std::string stranded_json(const StrandedAbout& about, const StrandedReport& report) {
  Json transactions = Json::array();
  for (const StrandedTransaction& t : report.transactions) transactions.push_back(transaction_json(t));
  Json conflicts = Json::array();
  for (const RowConflict& c : report.conflicts) conflicts.push_back(conflict_json(c));
  Json statements = Json::array();
  for (const auto& [gtid, statement] : report.ring_statements) {
    Json one = statement_json(statement);
    one["gtid"] = gtid;
    statements.push_back(std::move(one));
  }
  const auto [safe, verdict] = report.verdict();
  const Json json = {{"format", 1},
                     {"node", about.node},
                     {"address", about.address},
                     {"stranded", report.expected},
                     {"stranded_set", about.set},
                     {"transactions", std::move(transactions)},
                     {"ring",
                      {{"read_at", about.ring_node.empty() ? Json(nullptr) : Json(about.ring_node)},
                       {"transactions", report.ring_transactions},
                       {"statement_count", report.ring_statement_count},
                       {"statements", std::move(statements)}}},
                     {"conflicts", std::move(conflicts)},
                     {"compared_by_whole_row", names_json(report.by_whole_row)},
                     {"keys_not_known", names_json(report.keys_not_known)},
                     {"incomplete", report.incomplete.empty() ? Json(nullptr) : Json(report.incomplete)},
                     {"safe", safe},
                     {"verdict", verdict}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ringagent
