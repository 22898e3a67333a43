#include "agent/stranded_report.h"

#include <algorithm>

#include "agent/text.h"
#include "config/ring.h"

namespace ringagent {
namespace {

constexpr std::size_t kShownBytes = 80;
constexpr std::size_t kIndexBytes = 160;  // longer ones are hashed

std::string shortened(std::string text) {
  text = printable(text);
  if (text.size() <= kShownBytes) return text;
  std::size_t cut = kShownBytes;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80U) --cut;  // not within a character
  return text.substr(0, cut) + "...";
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::string index_of(const TableName& table, const std::string& key, const std::string& value) {
  const char separator = '\0';
  std::string out = table.schema + separator + table.table + separator + key + separator + value;
  if (out.size() <= kIndexBytes) return out;
  const Hash hashed = hash_bytes(out);
  return {hashed.begin(), hashed.end()};
}

std::string plural(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void add_once(std::vector<TableName>& tables, const TableName& table) {
  if (std::find(tables.begin(), tables.end(), table) == tables.end()) tables.push_back(table);
}

std::string whole_row(const std::map<unsigned, std::string>& image) {
  std::string out;
  for (const auto& [column, value] : image) out += (out.empty() ? "@" : ", @") + std::to_string(column) + "=" + value;
  return out;
}

// What a row holds after an update whose image names only the columns that it changed.
std::map<unsigned, std::string> completed(const BinlogRow& row) {
  std::map<unsigned, std::string> out = row.after;
  out.insert(row.before.begin(), row.before.end());
  return out;
}

// The value of a key in this image as {compared, shown}; none if a part is NULL (such rows never collide) or was not logged.
std::optional<std::pair<std::string, std::string>> key_in(const TableKeys::Key& key,
                                                          const std::map<unsigned, std::string>& image) {
  std::string compared;
  std::string shown;
  for (const TableKeys::Column& column : key.columns) {
    const auto value = image.find(column.number);
    if (value == image.end() || value->second == "NULL") return std::nullopt;
    compared += (column.ignores_case ? lower(value->second) : value->second) + '\0';
    shown += (shown.empty() ? "" : ", ") + column.name + "=" + value->second;
  }
  return std::pair(std::move(compared), std::move(shown));
}

// MariaDB's "3-3-107" would stand for all numbers up to it.
GtidSet single(Flavor flavor, const std::string& gtid) {
  std::string text = gtid;
  if (flavor == Flavor::mariadb) text += ".." + gtid.substr(gtid.rfind('-') + 1);
  return GtidSet::parse(flavor, text).value_or(GtidSet{});
}

}  // namespace

StrandedReader::StrandedReader(GtidSet stranded, GtidSet executed, Flavor flavor, KeysOf keys)
    : stranded_(std::move(stranded)), executed_(std::move(executed)), flavor_(flavor), lookup_(std::move(keys)) {
  report_.expected = stranded_.count();
}

StrandedReader::Part StrandedReader::part_of(const std::string& gtid) const {
  const GtidSet one = single(flavor_, gtid);
  if (one.empty()) return Part::neither;
  if (stranded_.contains(one)) return of_node_ ? Part::stranded : Part::neither;
  const auto& stream = one.streams().begin()->first;
  const bool own = std::any_of(stranded_.streams().begin(), stranded_.streams().end(), [&](const auto& s) {
    return flavor_ == Flavor::mysql ? s.first.uuid == stream.uuid : s.first.server == stream.server;
  });
  if (own) return Part::neither;
  if (of_node_) return begun_ ? Part::ring : Part::neither;
  return executed_.contains(one) ? Part::neither : Part::ring;
}

void StrandedReader::transaction(const BinlogTransaction& transaction) {
  open_ = transaction;
  part_ = part_of(transaction.gtid);
  if (part_ == Part::ring) ++report_.ring_transactions;
  if (part_ != Part::stranded) return;
  begun_ = true;
  report_.transactions.push_back(
      {transaction.gtid, transaction.time, transaction.file, transaction.position, 0, {}, {}});
}

void StrandedReader::statement(const std::string& schema, const std::string& text) {
  if (part_ == Part::stranded) report_.transactions.back().statements.push_back({schema, text});
  if (part_ != Part::ring) return;
  if (++report_.ring_statement_count <= kRingStatementsKept)
    report_.ring_statements.emplace_back(open_.gtid, StrandedStatement{schema, text});
}

void StrandedReader::row(const BinlogRow& row) {
  if (part_ == Part::stranded) note(row);
  if (part_ == Part::ring) compare(row);
}

const TableKeys& StrandedReader::keys_of(const TableName& table) {
  const auto it = keys_.find(table);
  return it != keys_.end() ? it->second : keys_.emplace(table, lookup_(table)).first->second;
}

// The best one to show to people first.
std::vector<StrandedReader::KeyValue> StrandedReader::values(const BinlogRow& row) {
  std::vector<KeyValue> out;
  const TableKeys& keys = keys_of(row.table);
  std::vector<std::map<unsigned, std::string>> images;
  if (row.change != RowChange::inserted) images.push_back(row.before);
  if (row.change != RowChange::removed) images.push_back(completed(row));
  std::set<std::string> seen;
  for (const auto& image : images) {
    for (const TableKeys::Key& key : keys.keys) {
      const auto value = key_in(key, image);
      if (!value) continue;
      std::string index = index_of(row.table, key.name, value->first);
      if (seen.insert(index).second) out.push_back({std::move(index), key.name, shortened(value->second)});
    }
    if (!keys.keys.empty()) continue;
    const std::string whole = whole_row(image);
    std::string index = index_of(row.table, "", whole);
    if (seen.insert(index).second) out.push_back({std::move(index), "", shortened(whole)});
  }
  return out;
}

void StrandedReader::note(const BinlogRow& row) {
  const std::vector<KeyValue> touched = values(row);
  const TableKeys& keys = keys_of(row.table);
  if (keys.keys.empty()) add_once(keys.known ? report_.by_whole_row : report_.keys_not_known, row.table);
  StrandedTransaction& transaction = report_.transactions.back();
  ++rows_;
  for (const KeyValue& value : touched) touches_[value.index] = {report_.transactions.size() - 1, rows_, row.change};
  if (++transaction.row_count > kStrandedRowsKept) return;
  transaction.rows.push_back({row.table, row.change, touched.empty() ? "(no key was logged)" : touched.front().shown});
}

void StrandedReader::compare(const BinlogRow& row) {
  if (touches_.empty()) return;
  for (const KeyValue& value : values(row)) {
    const auto touch = touches_.find(value.index);
    if (touch == touches_.end()) continue;
    if (!met_.insert(touch->second.row).second) continue;
    report_.conflicts.push_back({row.table, value.key_name, value.shown,
                                 report_.transactions[touch->second.transaction].gtid, touch->second.change, open_.gtid,
                                 open_.time, row.change});
  }
}

std::size_t StrandedReport::row_count() const {
  std::size_t out = 0;
  for (const StrandedTransaction& t : transactions) out += t.row_count;
  return out;
}

bool StrandedReport::has_statements() const {
  return std::any_of(transactions.begin(), transactions.end(), [](const auto& t) { return !t.statements.empty(); });
}

std::pair<bool, std::string> StrandedReport::verdict() const {
  if (expected == 0) return {true, "nothing is stranded"};
  if (transactions.empty())
    return {false, "none of the stranded transactions stands in its binary logs any more: nothing can be replayed"};
  if (!conflicts.empty()) {
    return {false, plural(conflicts.size(), "row") + (conflicts.size() == 1 ? " was" : " were") +
                       " changed by the ring since: replaying would overwrite " +
                       (conflicts.size() == 1 ? "it" : "them") + " or stop with error 1062 or 1032"};
  }
  std::vector<std::string> doubts;
  if (transactions.size() < expected)
    doubts.push_back("only " + std::to_string(transactions.size()) + " of " + std::to_string(expected) +
                     " were found in its binary logs");
  if (!incomplete.empty()) doubts.push_back(incomplete);
  if (has_statements()) doubts.emplace_back("its statements cannot be compared with rows");
  if (ring_statement_count > 0)
    doubts.push_back("the ring ran " + plural(ring_statement_count, "statement") + " since (above)");
  const std::size_t vague = by_whole_row.size() + keys_not_known.size();
  if (vague > 0)
    doubts.push_back(plural(vague, "table") + (vague == 1 ? " was" : " were") + " compared by whole rows only");
  if (doubts.empty()) return {true, "safe to replay: no row of theirs was changed by the ring since"};
  std::string out = "no row of theirs was seen to be changed by the ring since, but judge yourself: ";
  for (std::size_t i = 0; i < doubts.size(); ++i) out += (i == 0 ? "" : "; ") + doubts[i];
  return {false, out};
}

}  // namespace ringagent
