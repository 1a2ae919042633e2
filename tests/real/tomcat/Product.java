import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Collectors;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.apache.catalina.util.ServerInfo;
import org.apache.tomcat.util.IntrospectionUtils;

/**
 * What the Data Center products are to a request: a Tomcat with servlets, each of which answers with its name and with what
 * Tomcat says about the request.
 *
 * <p>{@code java Product DIRECTORY CONNECTOR...} opens one port per connector, chosen by the kernel, and prints one line,
 * {@code ready {...}}. Ends on SIGTERM and with its standard input.
 *
 * <p>Compiled for Tomcat 9 with {@code javax} in the place of {@code jakarta}; the APIs are otherwise the same.
 */
public final class Product {
    /** What a connector is told beyond Tomcat's own settings. */
    private static final Map<String, Map<String, String>> CONNECTORS = Map.of(
            "default", Map.of(),
            "passthrough", lenient("passthrough"),
            "decode", lenient("decode"));

    /** The characters that RFC 3986 forbids in a path and that Tomcat can be told to take. */
    private static final String RELAXED = "\"<>[\\]^`{|}";

    /** As lenient as Tomcat can be made. Tomcat 9 has no setting for the backslash but a system property. */
    private static Map<String, String> lenient(String solidus) {
        return Map.of(
                "allowBackslash", "true",
                "encodedSolidusHandling", solidus,
                "encodedReverseSolidusHandling", solidus,
                "relaxedPathChars", RELAXED,
                "relaxedQueryChars", RELAXED);
    }

    public static void main(String[] arguments) throws Exception {
        // Tomcat says much at its start, and something about every malformed request.
        Logger.getLogger("org.apache").setLevel(Level.SEVERE);
        String directory = arguments[0];
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(directory);
        Map<String, Connector> connectors = new TreeMap<>();
        for (String name : List.of(arguments).subList(1, arguments.length)) {
            Connector connector = connector(CONNECTORS.get(name));
            tomcat.setConnector(connector);
            connectors.put(name, connector);
        }
        Context context = tomcat.addContext("", new File(directory).getAbsolutePath());
        for (Map.Entry<String, String> servlet : Map.of(
                "public", "/public/*", "rest", "/rest/*", "other", "/*", "status", "/status").entrySet()) {
            Tomcat.addServlet(context, servlet.getKey(), new Echo()).addMapping(servlet.getValue());
        }
        tomcat.start();
        // Only now is there a port. One line, complete: the parent reads lines.
        String ports = connectors.entrySet().stream()
                .map(entry -> Json.text(entry.getKey()) + ":" + entry.getValue().getLocalPort())
                .collect(Collectors.joining(",", "{", "}"));
        System.out.println("ready {\"version\":" + Json.text(ServerInfo.getServerNumber()) + ",\"ports\":" + ports + "}");
        System.out.flush();
        while (System.in.read() >= 0) {
            // Nobody says anything; it is the end that counts.
        }
        System.exit(0);
    }

    private static Connector connector(Map<String, String> settings) {
        Connector connector = new Connector("org.apache.coyote.http11.Http11NioProtocol");
        connector.setPort(0);
        // One connection carries thousands of requests of a test.
        connector.setProperty("address", "127.0.0.1");
        connector.setProperty("maxKeepAliveRequests", "-1");
        settings.forEach((name, value) -> IntrospectionUtils.setProperty(connector, name, value));
        return connector;
    }

    /** Answers with its name and with what Tomcat says about the request. */
    private static final class Echo extends HttpServlet {
        private static final long serialVersionUID = 1;

        @Override
        protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
            String users = Collections.list(request.getHeaders("X-Remote-User")).stream()
                    .map(Json::text)
                    .collect(Collectors.joining(",", "[", "]"));
            byte[] body = ("{\"servlet\":" + Json.text(getServletName())
                    + ",\"request_uri\":" + Json.text(request.getRequestURI())
                    + ",\"servlet_path\":" + Json.text(request.getServletPath())
                    + ",\"path_info\":" + Json.text(request.getPathInfo())
                    + ",\"remote_user\":" + Json.text(request.getRemoteUser())
                    + ",\"x_remote_user\":" + users + "}").getBytes(StandardCharsets.US_ASCII);
            response.setContentType("application/json");
            response.setContentLength(body.length);
            response.getOutputStream().write(body);
        }
    }

    /** As much of JSON as is needed, in ASCII. */
    private static final class Json {
        static String text(String text) {
            if (text == null) {
                return "null";
            }
            StringBuilder json = new StringBuilder("\"");
            for (char c : text.toCharArray()) {
                boolean plain = c >= ' ' && c < 0x7f && c != '"' && c != '\\';
                json.append(plain ? String.valueOf(c) : String.format("\\u%04x", (int) c));
            }
            return json.append('"').toString();
        }
    }
}
