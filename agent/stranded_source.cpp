#include "agent/stranded_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "agent/binlog_tool.h"
#include "agent/settings_map.h"
#include "mysql/client.h"

namespace ringagent {
namespace {

constexpr Duration kDeadline = 10s;

BinlogServer server_at(const StrandedPlace& place, const Address& address, const Settings& settings) {
  const ConnectSettings account = remote_connection(settings);
  return {place.flavor, address, account.user, account.password, account.tls, account.ca_file};
}

Result<Client> log_in(const Address& address, const Settings& settings) {
  ConnectSettings connection = remote_connection(settings);
  connection.address = address;
  auto client = Client::connect(connection, kDeadline);
  if (!client) {
    return fail("cannot log in to the server at " + address.str() + " as " + connection.user + ": " +
                client.error().text);
  }
  return std::move(*client);
}

Result<Rows> query(Client& client, const std::string& sql) {
  auto rows = client.query(sql, kDeadline);
  if (!rows) return fail(rows.error().text);
  return std::move(*rows);
}

// MariaDB: the newest binary log file that begins within `known`, so that all beyond it stands in it or after it. None if
// even the oldest begins later: then the oldest is `oldest`.
Result<std::optional<std::string>> file_within(Client& client, const GtidSet& known, std::string& oldest) {
  const auto logs = query(client, "SHOW BINARY LOGS");
  if (!logs) return fail("SHOW BINARY LOGS: " + logs.error().text);
  for (std::size_t i = logs->rows.size(); i-- > 0;) {
    const std::string* name = logs->at(i, "Log_name");
    if (name == nullptr) continue;
    oldest = *name;
    const auto position = query(client, "SELECT BINLOG_GTID_POS(" + quote(*name) + ", 4) AS position");
    if (!position) return fail("BINLOG_GTID_POS: " + position.error().text);
    const std::string* text = position->at(0, "position");
    const auto set = GtidSet::parse(Flavor::mariadb, text == nullptr ? "" : *text);
    if (set && text != nullptr && known.covers_position(*set)) return std::optional(*name);
  }
  return std::optional<std::string>();
}

// Stops at the first transaction.
class FirstTransaction : public BinlogSink {
 public:
  void transaction(const BinlogTransaction& transaction) override {
    if (!first) first = transaction;
  }
  void row(const BinlogRow& /*row*/) override {}
  void statement(const std::string& /*schema*/, const std::string& /*text*/) override {}
  std::optional<BinlogTransaction> first;
};

// MySQL: the file where the first transaction beyond `known` stands; "" if there is none.
Result<std::string> file_beyond(const BinlogServer& server, const GtidSet& known, const std::string& tool) {
  FirstTransaction sink;
  BinlogText text(server.flavor, sink);
  BinlogRange range;
  range.all_but = known.str();
  auto read = run_binlog_tool(tool, server, range, true, [&](std::string_view line) {
    text.line(line);
    return !sink.first;
  });
  if (!read) return tl::unexpected(read.error());
  return sink.first ? sink.first->file : "";
}

Result<void> read_into(StrandedReader& reader, const BinlogServer& server, const BinlogRange& range,
                       const std::string& tool) {
  BinlogText text(server.flavor, reader);
  auto read = run_binlog_tool(tool, server, range, true, [&](std::string_view line) {
    text.line(line);
    return true;
  });
  text.end();
  return read;
}

TableKeys keys_at(Client& client, const TableName& table) {
  const std::string where = "s.TABLE_SCHEMA = " + quote(table.schema) + " AND s.TABLE_NAME = " + quote(table.table);
  TableKeys out;
  const auto seen = query(client, "SELECT COUNT(*) AS n FROM information_schema.COLUMNS s WHERE " + where);
  const std::string* count = seen ? seen->at(0, "n") : nullptr;
  out.known = count != nullptr && *count != "0";
  if (!out.known) return out;
  const auto rows = query(
      client,
      "SELECT s.INDEX_NAME AS k, c.COLUMN_NAME AS name, c.ORDINAL_POSITION AS number, c.COLLATION_NAME AS collation "
      "FROM information_schema.STATISTICS s LEFT JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = "
      "s.TABLE_SCHEMA AND c.TABLE_NAME = s.TABLE_NAME AND c.COLUMN_NAME = s.COLUMN_NAME WHERE " +
          where + " AND s.NON_UNIQUE = 0 ORDER BY s.INDEX_NAME = 'PRIMARY' DESC, s.INDEX_NAME, s.SEQ_IN_INDEX");
  if (!rows) return TableKeys{};
  std::set<std::string> unfit;  // keys on expressions
  for (std::size_t i = 0; i < rows->rows.size(); ++i) {
    const std::string* key = rows->at(i, "k");
    const std::string* name = rows->at(i, "name");
    const std::string* number = rows->at(i, "number");
    const std::string* collation = rows->at(i, "collation");
    if (key == nullptr) continue;
    if (out.keys.empty() || out.keys.back().name != *key) out.keys.push_back({*key, {}});
    if (name == nullptr || number == nullptr) {
      unfit.insert(*key);
      continue;
    }
    out.keys.back().columns.push_back({static_cast<unsigned>(std::strtoul(number->c_str(), nullptr, 10)), *name,
                                       collation != nullptr && collation->find("_ci") != std::string::npos});
  }
  std::erase_if(out.keys, [&](const TableKeys::Key& key) { return unfit.count(key.name) > 0; });
  return out;
}

// Where the node's log is to be read from. `oldest`: only what is left of it.
Result<BinlogRange> range_of_node(const StrandedPlace& place, const BinlogServer& server, Client& client,
                                  const std::string& tool) {
  const GtidSet before = place.executed.subtract(place.stranded);
  BinlogRange range;
  if (place.flavor == Flavor::mysql) {
    auto file = file_beyond(server, before, tool);
    if (!file) return tl::unexpected(file.error());
    range.file = *file;
    return range;
  }
  std::string oldest;
  auto file = file_within(client, before, oldest);
  if (!file) return tl::unexpected(file.error());
  range.file = *file ? **file : oldest;
  return range;
}

// "" or why not all that the node lacks could be compared.
std::string read_ring(StrandedReader& reader, const StrandedPlace& place, const Settings& settings,
                      const std::string& tool) {
  if (place.about.ring_node.empty()) return "no other member's server could be asked what changed since";
  if (place.executed.contains(place.ring_executed)) return {};
  const std::string who = place.about.ring_node;
  BinlogRange range;
  if (place.flavor == Flavor::mysql) {
    range.all_but = place.executed.str();
  } else {
    auto client = log_in(place.ring_address, settings);
    if (!client) return client.error().text;
    std::string oldest;
    auto file = file_within(*client, place.executed, oldest);
    if (!file) return who + ": " + file.error().text;
    if (!*file) return who + " has purged changes that " + place.about.node + " never got";
    range.file = **file;
  }
  reader.now_the_ring();
  const auto read = read_into(reader, server_at(place, place.ring_address, settings), range, tool);
  return read ? "" : "the log of " + who + " could not be read: " + read.error().text;
}

// ---------------------------------------------------------------- the file

class NewFile {
 public:
  static Result<NewFile> make(const std::string& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) return fail(path + " exists: choose another file with --out");
    if (fd < 0) return fail("cannot make " + path + ": " + std::strerror(errno) + " (--out chooses another place)");
    return NewFile(fd, path);
  }
  NewFile(NewFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path_.c_str());  // it was not finished
  }

  bool write(std::string_view text) {
    while (!text.empty() && good_) {
      const ssize_t n = ::write(fd_, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      good_ = n >= 0;
      if (good_) text.remove_prefix(static_cast<std::size_t>(n));
    }
    if (!good_ && why_.empty()) why_ = std::strerror(errno);
    return good_;
  }

  Result<void> finish() {
    if (good_ && ::fsync(fd_) != 0) {
      good_ = false;
      why_ = std::strerror(errno);
    }
    if (!good_) return fail("cannot write " + path_ + ": " + why_);
    const std::size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
    const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = directory >= 0 && ::fsync(directory) == 0;
    const std::string why = std::strerror(errno);
    if (directory >= 0) ::close(directory);
    if (!synced) return fail("cannot make " + path_ + " durable: " + why);
    ::close(std::exchange(fd_, -1));
    return {};
  }

 private:
  NewFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
  bool good_ = true;
  std::string why_;
};

std::string heading(const StrandedPlace& place, const StrandedReport& report) {
  std::string out = "-- Transactions that never left " + place.about.node + " (" + place.address.str() +
                    "): " + place.about.set + "\n-- " + std::to_string(report.transactions.size()) +
                    " of them, as its binary log has them; each row also as text behind ###.\n"
                    "-- To have them after all, feed this file to ONE server of the ring, ";
  return out + (place.flavor == Flavor::mysql
                    ? "at any time: who has them already skips them by their GTIDs.\n"
                    : "ONCE, when " + place.about.node + " has got its fresh copy: they become new transactions.\n");
}

// MariaDB has no way to know a transaction of another server that a client brings: it would go round and be applied again. So
// it is to become a new one of the server that it is fed to.
bool names_transaction(std::string_view line) {
  if (!line.starts_with("/*M!100001 SET @@session.")) return false;
  line.remove_prefix(25);
  return line.starts_with("gtid_domain_id=") || line.starts_with("server_id=") || line.starts_with("gtid_seq_no=");
}

}  // namespace

Result<StrandedReport> read_stranded(const StrandedPlace& place, const Settings& settings, const std::string& tool) {
  auto client = log_in(place.address, settings);
  if (!client) return tl::unexpected(client.error());
  const BinlogServer server = server_at(place, place.address, settings);
  StrandedReader reader(place.stranded, place.executed, place.flavor,
                        [&](const TableName& table) { return keys_at(*client, table); });
  const auto range = range_of_node(place, server, *client, tool);
  if (!range) return tl::unexpected(range.error());
  if (!range->file.empty()) {
    if (auto read = read_into(reader, server, *range, tool); !read) return tl::unexpected(read.error());
  }
  reader.report().incomplete = read_ring(reader, place, settings, tool);
  return std::move(reader.report());
}

Result<void> write_stranded(const StrandedPlace& place, const StrandedReport& report, const Settings& settings,
                            const std::string& tool, const std::string& path) {
  if (report.transactions.empty()) return fail(report.verdict().second);
  BinlogRange range;
  if (place.flavor == Flavor::mysql) {
    range.all_but = place.executed.subtract(place.stranded).str();
    range.only = place.stranded.str();
  } else {
    range.file = report.transactions.front().file;
    range.position = report.transactions.front().position;
    for (const auto& [stream, numbers] : place.stranded.streams()) {
      range.domains.push_back(stream.domain);
      if (std::find(range.servers.begin(), range.servers.end(), stream.server) == range.servers.end())
        range.servers.push_back(stream.server);
    }
  }
  auto file = NewFile::make(path);
  if (!file) return tl::unexpected(file.error());
  file->write(heading(place, report));
  const auto read =
      run_binlog_tool(tool, server_at(place, place.address, settings), range, false, [&](std::string_view line) {
        const bool off = place.flavor == Flavor::mariadb && names_transaction(line);
        return file->write(off ? "-- " : "") && file->write(line) && file->write("\n");
      });
  if (!read) return tl::unexpected(read.error());
  return file->finish();
}

}  // namespace ringagent
