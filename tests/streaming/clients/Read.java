import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;

/** Java's own client, by lines, with its offer of HTTP/2. */
public class Read {
    static String last = null;
    static final Map<String, String> fields = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        while (true) {
            var request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("Authorization", "Bearer " + arguments[1]).header("Accept", "text/event-stream");
            if (last != null) request.header("Last-Event-ID", last);
            try (Stream<String> lines = client.send(request.build(), BodyHandlers.ofLines()).body()) {
                fields.clear();
                lines.forEach(Read::take);
            } catch (java.io.IOException | java.io.UncheckedIOException error) {
                Thread.sleep(200);
            }
        }
    }

    static void take(String line) {
        int at = line.indexOf(": ");
        if (at > 0) fields.put(line.substring(0, at), line.substring(at + 2));
        if (!line.isEmpty() || !fields.containsKey("data")) return;
        String id = fields.get("id");
        if (id != null) last = id;
        String told = id == null ? "null" : "\"" + id + "\"";
        String data = fields.get("data").replace("\\", "\\\\").replace("\"", "\\\"");
        System.out.println("{\"type\":\"" + fields.get("event") + "\",\"id\":" + told + ",\"data\":\"" + data + "\"}");
        fields.clear();
    }
}
