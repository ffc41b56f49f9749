import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.function.Supplier;
import java.io.ByteArrayInputStream;
import java.io.InputStream;

/** Posts bodies as Java's client does by default, with an offer to upgrade to HTTP/2, and prints status and answer. */
public class Post {
    public static void main(String[] arguments) throws Exception {
        for (int count = 0; count < 3; count++) {
            HttpClient client = HttpClient.newHttpClient();
            for (int size : new int[] {5, 0, 100_000}) {
                byte[] body = "x".repeat(size).getBytes();
                Supplier<InputStream> source = () -> new ByteArrayInputStream(body);
                for (boolean sized : new boolean[] {true, false}) {
                    var publisher = sized ? BodyPublishers.ofByteArray(body) : BodyPublishers.ofInputStream(source);
                    var request = HttpRequest.newBuilder(URI.create(arguments[0])).POST(publisher).build();
                    var answer = client.send(request, BodyHandlers.ofString());
                    System.out.println(answer.statusCode() + " " + answer.body().length());
                }
            }
        }
    }
}
