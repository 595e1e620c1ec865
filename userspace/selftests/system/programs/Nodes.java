// SPDX-License-Identifier: MIT OR Apache-2.0

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** What programs in Java do with nodes, by the standard library alone. */
class Nodes {
    public static void main(String[] arguments) throws IOException {
        String node = arguments[1];
        switch (arguments[0]) {
            case "full" -> { // NODE BYTES
                try (var file = new DataInputStream(new BufferedInputStream(new FileInputStream(node)))) {
                    byte[] data = new byte[Integer.parseInt(arguments[2])];
                    file.readFully(data);
                    System.out.write(data);
                }
            }
            case "available" -> { // NODE BYTES: as much as is there without waiting, piece by piece
                try (InputStream file = new FileInputStream(node)) {
                    for (int left = Integer.parseInt(arguments[2]); left > 0; ) {
                        byte[] data = new byte[Math.min(left, Math.max(1, file.available()))];
                        int bytes = file.read(data);
                        System.out.write(data, 0, bytes);
                        left -= bytes;
                    }
                }
            }
            case "channel" -> { // NODE BYTES
                try (FileChannel file = FileChannel.open(Path.of(node), StandardOpenOption.READ)) {
                    ByteBuffer data = ByteBuffer.allocateDirect(Integer.parseInt(arguments[2]));
                    while (data.hasRemaining()) {
                        if (file.read(data) < 0) {
                            throw new IOException("the end");
                        }
                    }
                    data.flip();
                    byte[] copy = new byte[data.remaining()];
                    data.get(copy);
                    System.out.write(copy);
                }
            }
            case "all" -> { // NODE: to the end of the file
                try (InputStream file = Files.newInputStream(Path.of(node))) {
                    file.transferTo(System.out);
                }
            }
            case "write" -> { // NODE FILE
                try (OutputStream file = new FileOutputStream(node)) {
                    Files.copy(Path.of(arguments[2]), file);
                }
            }
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        System.out.flush();
    }
}
